"""The report: a table for each piece of work, a verdict for each target, JSON for machines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from tests.benchmarks.samples import Finding, Measure, Sample, Section

COLUMNS: tuple[tuple[str, Measure, int, int], ...] = (  # head, measure, scale, digits
    ("p50 ms", "p50_ms", 1, 2),
    ("p99 ms", "p99_ms", 1, 2),
    ("CPU us", "cpu_us", 1, 0),
    ("busy %", "busy", 100, 0),
    ("beside %", "beside", 100, 0),
)
VERDICTS = {True: "reached", False: "BELOW", None: ""}


def section_text(section: Section) -> str:
    """Write one piece of work."""
    return "\n".join(_section_lines(section))


def _section_lines(section: Section) -> Iterator[str]:
    yield f"\n{section.name}: {section.title}"
    if section.sides:
        heads = "".join(f"{head:>9}" for head, *_ in COLUMNS)
        yield f"  {'side':14}{section.unit:>10}{'min':>9}{'max':>9}{heads}"
    for name, samples in section.sides.items():
        rates = [sample.rate for sample in samples]
        rest = "".join(_cell(samples, *column) for _, *column in COLUMNS).rstrip()
        yield f"  {name:14}{median(rates):10,.0f}{min(rates):9,.0f}{max(rates):9,.0f}{rest}"
    for finding in section.findings:
        yield f"  {_finding_text(finding)}"
    for note in section.notes:
        yield f"  ({note})"


def _cell(samples: Sequence[Sample], measure: Measure, scale: int, digits: int) -> str:
    values = [value for sample in samples if (value := getattr(sample, measure)) is not None]
    return f"{median(values) * scale:9.{digits}f}" if values else f"{'':9}"


def _finding_text(finding: Finding) -> str:
    spread = f"({min(finding.values):.2f} .. {max(finding.values):.2f})"
    verdict = VERDICTS[finding.is_reached]
    value = f"{finding.value:.2f}"
    return f"{finding.what:32}{value:>9} {finding.unit:3}{spread:>22}  {finding.target:9}{verdict}"


def summary(sections: Sequence[Section]) -> str:
    """Write all targets, one a line."""
    findings = (
        f"  {section.name:11}{_finding_text(finding)}"
        for section in sections
        for finding in section.findings
    )
    return "\n".join(["", "All targets, medians of rounds (min .. max):", *findings])


def write_json(path: Path, about: dict[str, Any], sections: Sequence[Section]) -> None:
    """Write everything that was measured."""
    findings = {
        id(finding): {"median": finding.value, "is_reached": finding.is_reached}
        for section in sections
        for finding in section.findings
    }
    content = {
        **about,
        "sections": [
            {
                "name": section.name,
                "title": section.title,
                "unit": section.unit,
                "sides": section.sides,
                "findings": [
                    {**msgspec.to_builtins(finding), **findings[id(finding)]}
                    for finding in section.findings
                ],
                "notes": section.notes,
            }
            for section in sections
        ],
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1))
