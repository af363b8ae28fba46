"""openapi.yaml -> the page of the REST API, and the page that problems lead to."""

from collections.abc import Iterator
from html import escape
from http import HTTPStatus

from codegen.markup import inline, page, prose, table
from codegen.model import Contract, Node

_REFERENCE = "/docs/assets/swagger-ui"


def reference(contract: Contract, *, header: str) -> str:
    """Write the page of the REST API: a frame, in which Swagger UI draws the contract."""
    head = [
        f'<link rel="stylesheet" href="{_REFERENCE}/swagger-ui.css">',
        f'<script src="{_REFERENCE}/swagger-ui-bundle.js" defer></script>',
        '<script src="/docs/assets/reference.js" defer></script>',
    ]
    body = [
        '<div id="reference" data-contract="/docs/openapi.json"></div>',
        "<noscript>",
        f"<h1>{escape(contract.document.content['info']['title'])}</h1>",
        '<p>This page is drawn by a script. The contract itself: <a href="/docs/openapi.json">'
        "openapi.json</a>.</p>",
        "</noscript>",
    ]
    return page(title="REST API", path="/docs", body=body, header=header, head=head)


def errors(contract: Contract, *, header: str) -> str:
    """Write a section for each code of the catalogue, under the anchor that its problems name."""
    return page(
        title="Errors", path="/docs/errors", body=list(_error_lines(contract)), header=header
    )


def _error_lines(contract: Contract) -> Iterator[str]:
    codes = contract.error_codes
    yield "<h1>Errors</h1>"
    yield from prose(_INTRODUCTION)
    yield '<nav class="index" aria-label="Codes">'
    for status in sorted({entry["status"] for entry in codes.values()}):
        named = [code for code, entry in codes.items() if entry["status"] == status]
        links = " ".join(f'<a href="#{code}">{code}</a>' for code in named)
        yield f"<div><b>{status}</b><span>{links}</span></div>"
    yield "</nav>"
    for code, entry in codes.items():
        yield from _section(contract, code, entry)


_INTRODUCTION = """
Every error is an `application/problem+json` (RFC 9457). Switch on `code`, and treat a code that
you do not know by its HTTP status: new ones may be added. The problem's `type` leads to the
section of its code on this page.

**May be repeated** means that the same request, with the same `Idempotency-Key`, may succeed
later: wait for `Retry-After`, then pause longer each time. It takes effect once, however often you
ask. **Not as it is** means that the same request gets the same answer: something has to change.
"""


def _section(contract: Contract, code: str, entry: Node) -> Iterator[str]:
    status, retryable = entry["status"], entry["retryable"]
    kind = "again" if retryable else "final"
    word = "May be repeated" if retryable else "Not as it is"
    yield f'<section class="code" id="{code}">'
    yield f'<h2><a href="#{code}">{code}</a></h2>'
    yield (
        f'<p class="marks"><span class="status s{status // 100}">{status} '
        f'{escape(HTTPStatus(status).phrase)}</span> <span class="{kind}">{word}</span></p>'
    )
    yield f'<p class="title">{escape(entry["title"])}</p>'
    yield "<dl>"
    yield f"<dt>What it means</dt><dd>{inline(entry['description'])}</dd>"
    yield f"<dt>What to do</dt><dd>{inline(entry['action'])}</dd>"
    yield "</dl>"
    rows = [
        (f"<code>{name}</code>", inline(_described(contract, name)))
        for name in entry.get("members", [])
    ]
    if rows:
        yield from table(("Member of the problem", "What it tells"), rows)
    yield "</section>"


def _described(contract: Contract, member: str) -> str:
    problem = contract.document.content["components"]["schemas"]["Problem"]
    return str(problem["properties"][member].get("description", ""))
