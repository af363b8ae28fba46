"""The checkout page: the QR code that a payer would scan, and buttons that pay instead.

It works without JavaScript, loads nothing from elsewhere, and escapes all that it shows.
"""

import base64
import hashlib
from html import escape
from io import BytesIO
from urllib.parse import urlencode

import segno
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from payos_simulator.ledger import Ledger, Link, Refused
from payos_simulator.payment_api import PaymentApi
from payos_simulator.webhooks import Webhooks

OVER = 10_000  # VND

STYLE = """
:root{color-scheme:light dark;--ink:#16211d;--paper:#f3f6f4;--card:#fff;--line:#dde5e1;
--green:#0b7a53;--soft:#e7f4ee;--muted:#5d6b65}
@media(prefers-color-scheme:dark){:root{--ink:#e8efec;--paper:#101614;--card:#18211e;
--line:#2a3632;--green:#3ecf98;--soft:#15302a;--muted:#9aaaa3}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;
padding:24px;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{width:100%;max-width:400px;background:var(--card);border:1px solid var(--line);
border-radius:20px;padding:28px;text-align:center}
.tag{display:inline-block;font-size:12px;letter-spacing:.06em;text-transform:uppercase;
color:var(--muted);border:1px dashed var(--line);border-radius:99px;padding:2px 12px}
h1{font-size:34px;margin:14px 0 2px;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
p{margin:4px 0;color:var(--muted)}.qr{background:#fff;border-radius:14px;padding:14px;
margin:20px auto;width:252px;border:1px solid var(--line)}
.qr svg{display:block;width:100%;height:auto}
.state{margin:20px 0;padding:18px;border-radius:14px;background:var(--soft);color:var(--green);
font-weight:600;font-size:18px}.grid{display:grid;grid-template-columns:1fr 1fr;gap:10px}
form{margin:0}button,a.button{display:block;width:100%;font:inherit;font-weight:600;cursor:pointer;
padding:12px;border-radius:12px;border:1px solid var(--line);background:transparent;
color:var(--ink);text-decoration:none}button.main,a.button{background:var(--green);
border-color:var(--green);color:var(--card)}.wide{grid-column:1/-1}
button:focus-visible,a:focus-visible{outline:3px solid var(--green);outline-offset:2px}
dl{display:grid;grid-template-columns:auto 1fr;gap:4px 16px;text-align:left;font-size:14px;
margin:18px 0;color:var(--muted)}dd{margin:0;text-align:right;color:var(--ink);
overflow-wrap:anywhere}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
SAYS = {
    "PAID": "Paid",
    "CANCELLED": "Cancelled",
    "EXPIRED": "Expired",
    "UNDERPAID": "Some is still missing",
}


class Checkout:
    """The page of a link."""

    def __init__(self, ledger: Ledger, webhooks: Webhooks, payments: PaymentApi) -> None:
        self._ledger = ledger
        self._webhooks = webhooks
        self._payments = payments

    def routes(self) -> list[Route]:
        """List the pages."""
        return [
            Route("/web/{name}", self.show, methods=["GET"]),
            Route("/web/{name}/{action}", self.act, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show a link."""
        try:
            link = self._ledger.link(request.path_params["name"])
        except Refused:
            return HTMLResponse(_page("<h1>Not found</h1>"), 404, HEADERS)
        return HTMLResponse(_page(self._content(link)), headers=HEADERS)

    async def act(self, request: Request) -> Response:
        """Do what a button says, and show the link again."""
        try:
            link = self._ledger.link(request.path_params["name"])
        except Refused:
            return HTMLResponse(_page("<h1>Not found</h1>"), 404, HEADERS)
        action = request.path_params["action"]
        amounts = {
            "pay": [link.amount],
            "under": [max(1, link.amount // 2)],
            "rest": [max(1, link.amount - link.paid)],
            "over": [link.amount + OVER],
            "twice": [link.amount, link.amount],
        }
        if action == "cancel" and link.status(self._ledger.now()) in {"PENDING", "UNDERPAID"}:
            self._ledger.cancel(link, "canceled by the payer")
        for amount in amounts.get(action, ()):
            self._webhooks.tell(link, self._ledger.pay(link, amount))
        return Response(status_code=303, headers={**HEADERS, "location": f"/web/{link.id}"})

    def _content(self, link: Link) -> str:
        status = link.status(self._ledger.now())
        head = (
            '<span class="tag">Simulated bank</span>'
            f"<h1>{_money(link.amount)}</h1><p>Order {link.order_code}</p>"
        )
        details = (
            f"<dl><dt>Transfer text</dt><dd>{escape(link.description)}</dd>"
            f"<dt>Received</dt><dd>{_money(link.paid)}</dd></dl>"
        )
        if status in {"PENDING", "UNDERPAID"}:
            said = f'<div class="state">{SAYS[status]}</div>' if link.transfers else ""
            return head + said + self._qr(link) + details + _buttons(link)
        said = f'<div class="state" role="status">{SAYS.get(status, status)}</div>'
        late = _button(link, "pay", "Pay once more, too late", "")
        return head + said + details + _way_back(link, status) + f'<div class="grid">{late}</div>'

    def _qr(self, link: Link) -> str:
        picture = BytesIO()
        segno.make(self._payments.qr_text(link), error="m", micro=False).save(
            picture, kind="svg", xmldecl=False, svgns=True, border=2, omitsize=True,
            title="VietQR code of this payment",
        )  # fmt: skip
        return f'<div class="qr">{picture.getvalue().decode()}</div>'


def _buttons(link: Link) -> str:
    main = "rest" if link.transfers else "pay"
    label = "Pay the rest" if link.transfers else f"Pay {_money(link.amount)}"
    return "".join(
        (
            '<div class="grid">',
            _button(link, main, label, "main"),
            _button(link, "under", "Pay half", ""),
            _button(link, "over", f"Pay {_money(OVER)} too much", ""),
            _button(link, "twice", "Pay twice", ""),
            _button(link, "cancel", "Cancel", ""),
            "</div>",
        )
    )


def _button(link: Link, action: str, label: str, kind: str) -> str:
    wide = ' class="wide"' if kind == "main" or "late" in label else ""
    css = f' class="{kind}"' if kind else ""
    return (
        f'<form{wide} method="post" action="/web/{link.id}/{action}">'
        f'<button{css} id="{action}">{escape(label)}</button></form>'
    )


def _way_back(link: Link, status: str) -> str:
    url = link.return_url if status == "PAID" else link.cancel_url
    query = urlencode(
        {
            "code": "00",
            "id": link.id,
            "cancel": "true" if status == "CANCELLED" else "false",
            "status": status,
            "orderCode": link.order_code,
        }
    )
    target = escape(f"{url}{'&' if '?' in url else '?'}{query}", quote=True)
    return f'<p><a class="button" id="return" href="{target}">Back to the shop</a></p>'


def _money(amount: int) -> str:
    return f"{amount:,} ₫".replace(",", ".")


def _page(content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Checkout (simulated)</title><style>{STYLE}</style></head>"
        f"<body><main>{content}</main></body></html>"
    )
