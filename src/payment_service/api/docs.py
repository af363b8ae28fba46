"""The documentation as pages: the contract, the events, and what problems lead to.

The pages are made of the contract by `codegen` and lie beside it; nothing on them comes from
another host, and the Content-Security-Policy says so. They are no operations of the contract: what
a program calls is under /v1.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

DOCS = "/docs"
ERRORS = f"{DOCS}/errors"  # and # and the code: the `type` of a problem

_HTML, _JSON = "text/html; charset=utf-8", "application/json"
_JS, _CSS = "text/javascript; charset=utf-8", "text/css; charset=utf-8"


def _pages() -> Mapping[str, tuple[Traversable, str]]:
    """List every address with its file and media type: what is not listed is not served."""
    contract, assets = files("generated"), files("payment_service.api") / "assets"
    return {
        DOCS: (contract / "docs" / "index.html", _HTML),
        f"{DOCS}/events": (contract / "docs" / "events.html", _HTML),
        ERRORS: (contract / "docs" / "errors.html", _HTML),
        f"{DOCS}/openapi.json": (contract / "api" / "openapi.json", _JSON),
        f"{DOCS}/asyncapi.json": (contract / "docs" / "asyncapi.json", _JSON),
        f"{DOCS}/assets/docs.css": (assets / "docs.css", _CSS),
        f"{DOCS}/assets/icon.svg": (assets / "icon.svg", "image/svg+xml"),
        f"{DOCS}/assets/reference.js": (assets / "reference.js", _JS),
        f"{DOCS}/assets/swagger-ui/swagger-ui.css": (
            assets / "swagger-ui" / "swagger-ui.css",
            _CSS,
        ),
        f"{DOCS}/assets/swagger-ui/swagger-ui-bundle.js": (
            assets / "swagger-ui" / "swagger-ui-bundle.js",
            _JS,
        ),
    }


_PAGES = _pages()
_HEADERS = {
    # `data:` and `blob:` pictures: Swagger UI's icons, and the QR code that somebody tries out.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # Kept, and asked about each time: a page never meets the assets of another version.
    "cache-control": "public, no-cache",
    "vary": "accept-encoding",
}


@dataclass(frozen=True, slots=True)
class _File:
    """What is sent for an address."""

    plain: bytes
    zipped: bytes
    etag: str
    media_type: str


def docs_routes() -> list[Route]:
    """Make the routes of the documentation."""
    return [Route(path, _serve, methods=["GET"]) for path in _PAGES]


async def _serve(request: Request) -> Response:
    if request.scope["path"] not in _PAGES:  # the router's "$" lets a line feed through
        raise HTTPException(404)
    # Read and compressed once a process, and not on the loop that serves payments.
    file = await run_in_threadpool(_read, request.scope["path"])
    headers = {**_HEADERS, "etag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = file.plain
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        body = file.zipped
    return Response(body, headers={**headers, "content-type": file.media_type})


@cache
def _read(path: str) -> _File:
    file, media_type = _PAGES[path]
    plain = file.read_bytes()
    # Weak: the same whether it is sent compressed or not.
    etag = f'W/"{sha256(plain).hexdigest()[:32]}"'
    return _File(plain, gzip.compress(plain, 9, mtime=0), etag, media_type)
