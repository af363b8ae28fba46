"""Every link of every page leads somewhere, and every page is found from the list of pages."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALLED = {"node_modules", "var", "dist", "generated"}
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(
        page for folder in ("docs", "src", "deploy", "tests", "codegen", "webhook-schemas")
        for page in (ROOT / folder).rglob("*.md")
    )]
    if not INSTALLED & set(path.relative_to(ROOT).parts)
)  # fmt: skip
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def prose(page: Path) -> str:
    """Return a page without its examples."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """List what a page links to, but not what is elsewhere."""
    found = _LINK.findall(_CODE.sub("code", prose(page)))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """List the anchors of the headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = []
    for heading in _HEADING.findall(prose(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(anchor if not seen[anchor] else f"{anchor}-{seen[anchor]}")
        seen[anchor] += 1
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert ROOT in target.parents, f"{link}: leads out of the repository"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: there is no such heading"


def test_the_list_of_pages_has_every_page() -> None:
    start = ROOT / "docs" / "README.md"
    listed = {(start.parent / link.partition("#")[0]).resolve() for link in links(start)}

    missing = [
        str(page.relative_to(ROOT)) for page in PAGES
        if (ROOT / "docs") in page.parents and page != start and not {page, *page.parents} & listed
    ]  # fmt: skip

    assert missing == []


def test_links_and_headings_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# The `API`, and more\n## Same\n## Same\n[`a`](b.md#c) [x](https://x.example) `[d](e)`\n"
        "```\n[f](g)\n# no heading\n```\n[h](i/)\n"
    )

    assert links(page) == ["b.md#c", "i/"]
    assert anchors(page) == {"the-api-and-more", "same", "same-1"}


def test_every_folder_of_tests_says_what_it_proves() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text()
    told = set(re.findall(r"^\| `tests/(\w+)` \|", table, re.MULTILINE))
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}

    assert told == folders - {"support", "fixtures"}
