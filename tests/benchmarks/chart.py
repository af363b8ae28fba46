"""A chart of the findings that have a target: how far each is from it. Plain SVG, no library."""

from collections.abc import Sequence
from html import escape

from tests.benchmarks.samples import Finding, Section

ROW_PX, TEXT_PX, BAR_PX, MARGIN_PX = 28, 260, 420, 20
SHARE_MAX = 3.0  # of the target, at the right end
REACHED, BELOW, INK = "#2a9d60", "#d1495b", "#555555"


def draw(sections: Sequence[Section]) -> str:
    """Draw a bar for each target: at or beyond the line is reached."""
    wanted = [
        (section, finding)
        for section in sections
        for finding in section.findings
        if finding.is_reached is not None
    ]
    height = MARGIN_PX * 3 + ROW_PX * len(wanted)
    width = MARGIN_PX * 2 + TEXT_PX + BAR_PX
    line = MARGIN_PX + TEXT_PX + BAR_PX / SHARE_MAX
    bars = "".join(_bar(number, *each) for number, each in enumerate(wanted))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="white"/>{bars}'
        f'<line x1="{line:.0f}" x2="{line:.0f}" y1="{MARGIN_PX}" y2="{height - MARGIN_PX * 2}"'
        f' stroke="{INK}"/>'
        f'<text x="{line:.0f}" y="{height - MARGIN_PX}" text-anchor="middle">target</text></svg>\n'
    )


def _bar(number: int, section: Section, finding: Finding) -> str:
    top = MARGIN_PX + ROW_PX * number
    length = min(_share(finding), SHARE_MAX) / SHARE_MAX * BAR_PX
    colour = REACHED if finding.is_reached else BELOW
    label = escape(f"{section.name}: {finding.what}")
    value = escape(f"{finding.value:.2f} {finding.unit} ({finding.target})")
    left = MARGIN_PX + TEXT_PX
    return (
        f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{label}</text>'
        f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{ROW_PX - 10}" fill="{colour}"/>'
        f'<text x="{left + 6}" y="{top + 14}">{value}</text>'
    )


def _share(finding: Finding) -> float:
    """Tell how much of the target is reached; 1 is just enough, either way."""
    if finding.at_least is not None:
        return finding.value / finding.at_least
    assert finding.at_most is not None, "a target is one or the other"
    return finding.at_most / finding.value if finding.value > 0 else SHARE_MAX
