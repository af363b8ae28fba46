"""What the pages of the documentation share: their frame, and the contract's prose as HTML.

The pages are complete as they are: no script, no style and no address but ours, so that the
strictest Content-Security-Policy fits them.
"""

import re
from collections.abc import Iterable
from html import escape

_PAGES = (("/docs", "REST API"), ("/docs/events", "Events"), ("/docs/errors", "Errors"))
_INLINE = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*")


def page(
    *, title: str, path: str, body: Iterable[str], header: str, head: Iterable[str] = ()
) -> str:
    """Put a page together.

    Args:
        title: What it is about, as text.
        path: Where it is served.
        body: Its lines, as HTML.
        header: What it was made from, as comment lines of Python.
        head: More lines for the head.
    """
    stamp = " ".join(line.removeprefix("#").strip() for line in header.splitlines())
    links = [
        f'<a href="{target}" aria-current="{"page" if target == path else "false"}">{name}</a>'
        for target, name in _PAGES
    ]
    lines = [
        "<!doctype html>",
        f"<!-- {escape(stamp)} -->",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)} · Payment Service</title>",
        '<link rel="icon" href="/docs/assets/icon.svg" type="image/svg+xml">',
        *head,
        '<link rel="stylesheet" href="/docs/assets/docs.css">',
        "</head>",
        "<body>",
        '<a class="skip" href="#content">Skip to the content</a>',
        '<header class="top">',
        '<a class="brand" href="/docs"><img src="/docs/assets/icon.svg" alt="" width="28" '
        'height="28"><span>Payment Service</span></a>',
        f"<nav>{''.join(links)}</nav>",
        "</header>",
        '<main id="content">',
        *body,
        "</main>",
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def inline(text: str) -> str:
    """Turn a line of the contract's prose into HTML: `code` and **strong** are all it has."""

    def mark(found: re.Match[str]) -> str:
        code, strong = found.groups()
        return f"<code>{escape(code)}</code>" if code else f"<strong>{escape(strong)}</strong>"

    parts: list[str] = []
    end = 0
    for found in _INLINE.finditer(text):
        parts += [escape(text[end : found.start()]), mark(found)]
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def prose(text: str) -> list[str]:
    """Turn paragraphs and lists of the contract into HTML."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith("- "):
            items = re.split(r"\n- ", block.removeprefix("- "))
            lines += ["<ul>", *(f"<li>{inline(' '.join(i.split()))}</li>" for i in items), "</ul>"]
        else:
            lines.append(f"<p>{inline(' '.join(block.split()))}</p>")
    return lines


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Draw a table; cells are HTML. On a narrow screen each cell names its own column."""
    names = list(heads)
    lines = ["<table>", "<thead><tr>"]
    lines += [f'<th scope="col">{escape(name)}</th>' for name in names]
    lines += ["</tr></thead>", "<tbody>"]
    for row in rows:
        cells = zip(names, row, strict=True)
        drawn = (f'<td data-head="{escape(name)}">{cell}</td>' for name, cell in cells)
        lines.append(f"<tr>{''.join(drawn)}</tr>")
    return [*lines, "</tbody>", "</table>"]
