"""The checkout page: what a payer would see, with a card to choose instead of numbers to type.

It works without JavaScript, loads nothing from elsewhere, and escapes all that it shows.
"""

import base64
import hashlib
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from stripe_simulator.books import CARDS, Ledger, Refused, Session
from stripe_simulator.objects import Objects
from stripe_simulator.payer import try_card
from stripe_simulator.webhooks import Webhooks

STYLE = """
:root{color-scheme:light dark;--ink:#1a1f36;--paper:#f4f6fb;--sheet:#fff;--line:#dfe3ee;
--main:#5650d6;--on:#fff;--soft:#ecebff;--bad:#b4233c;--badsoft:#fdecef;--muted:#5b6480}
@media(prefers-color-scheme:dark){:root{--ink:#eceefa;--paper:#10121f;--sheet:#191c2e;
--line:#2d3250;--main:#9a95ff;--on:#12142a;--soft:#262650;--bad:#ff8fa3;--badsoft:#3a1a26;
--muted:#a3abc9}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;
padding:24px;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{width:100%;max-width:400px;background:var(--sheet);border:1px solid var(--line);
border-radius:20px;padding:28px;text-align:center}
.tag{display:inline-block;font-size:12px;letter-spacing:.06em;text-transform:uppercase;
color:var(--muted);border:1px dashed var(--line);border-radius:99px;padding:2px 12px}
h1{font-size:34px;margin:14px 0 2px;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
p{margin:4px 0;color:var(--muted)}
.card{aspect-ratio:1.586;margin:22px auto;max-width:300px;border-radius:16px;padding:20px 22px;
display:flex;flex-direction:column;justify-content:space-between;text-align:left;color:#fff;
background:linear-gradient(135deg,#4b45c9,#7a5bd8 55%,#c061b8)}
.card i{width:40px;height:30px;border-radius:7px;background:linear-gradient(135deg,#f6dfa6,#d8ab52)}
.card b{font:600 clamp(13px,4vw,19px) ui-monospace,SFMono-Regular,Menlo,monospace;
letter-spacing:.06em;white-space:nowrap}
.card small{display:flex;justify-content:space-between;opacity:.85;font-size:12px}
.state,.said{margin:20px 0;padding:16px;border-radius:14px;background:var(--soft);
color:var(--main);font-weight:600;font-size:18px}
.said{background:var(--badsoft);color:var(--bad);font-size:15px;padding:12px}
.grid{display:grid;grid-template-columns:1fr 1fr;gap:10px}
form{margin:0}button,a.button{display:block;width:100%;height:100%;font:inherit;font-weight:600;
cursor:pointer;padding:12px;border-radius:12px;border:1px solid var(--line);
background:transparent;color:var(--ink);text-decoration:none}button.main,a.main{
background:var(--main);border-color:var(--main);color:var(--on)}.wide{grid-column:1/-1}
button:focus-visible,a:focus-visible{outline:3px solid var(--main);outline-offset:2px}
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
SAYS = {"complete": "Paid", "expired": "This checkout has ended"}
DECLINES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
}


class Checkout:
    """The page of a session."""

    def __init__(self, ledger: Ledger, objects: Objects, webhooks: Webhooks) -> None:
        self._ledger = ledger
        self._objects = objects
        self._webhooks = webhooks

    def routes(self) -> list[Route]:
        """List the pages."""
        return [
            Route("/web/{name}", self.show, methods=["GET"]),
            Route("/web/{name}/{card}", self.act, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show a session."""
        session = self._find(request)
        if session is None:
            return HTMLResponse(_page("<h1>Not found</h1>"), 404, HEADERS)
        return HTMLResponse(_page(self._content(session)), headers=HEADERS)

    async def act(self, request: Request) -> Response:
        """Try the card that a button names, and show the session again."""
        session, card = self._find(request), request.path_params["card"]
        if session is None or card not in CARDS:
            return HTMLResponse(_page("<h1>Not found</h1>"), 404, HEADERS)
        if session.status(self._ledger.now()) == "open":
            try_card(self._ledger, self._objects, self._webhooks, session, card)
        return Response(status_code=303, headers={**HEADERS, "location": f"/web/{session.id}"})

    def _find(self, request: Request) -> Session | None:
        try:
            return self._ledger.session(request.path_params["name"])
        except Refused:
            return None

    def _content(self, session: Session) -> str:
        status = session.status(self._ledger.now())
        last4 = session.charges[-1].last4 if session.charges else CARDS["good"].last4
        head = (
            '<span class="tag">Simulated card checkout</span>'
            f"<h1>{_money(session.amount)}</h1><p>{escape(session.item)}</p>"
        )
        if status == "open":
            return head + _card(last4) + _said(session) + _buttons(session)
        state = f'<div class="state" role="status">{SAYS[status]}</div>'
        target = session.success_url if status == "complete" else session.cancel_url
        return head + state + _details(session) + _way_back(target, "main")


def _card(last4: str) -> str:
    return (
        '<div class="card" role="img" aria-label="A simulated card"><i></i>'
        f"<b>•••• •••• •••• {last4}</b>"
        "<small><span>NGUYEN VAN A</span><span>12/34</span></small></div>"
    )


def _said(session: Session) -> str:
    if not session.charges:
        return ""
    reason = session.charges[-1].reason or ""
    text = DECLINES.get(reason, "Your card was declined.")
    return f'<div class="said" role="alert">{text} Try another one.</div>'


def _details(session: Session) -> str:
    charge = session.paid
    rows = [("Reference", session.client_reference_id or "")]
    if charge is not None:
        rows.append(("Card", f"•••• {charge.last4}"))
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{escape(text)}</dd>' for name, text in rows)}</dl>"


def _buttons(session: Session) -> str:
    rows = [_button(session, "good", f"Pay {_money(session.amount)}", "main")]
    rows += [_button(session, name, card.label, "") for name, card in CARDS.items()
             if name != "good"]  # fmt: skip
    way_out = f'<div class="wide">{_way_back(session.cancel_url, "")}</div>'
    return f'<div class="grid">{"".join(rows)}{way_out}</div>'


def _button(session: Session, card: str, label: str, kind: str) -> str:
    wide = ' class="wide"' if kind else ""
    css = f' class="{kind}"' if kind else ""
    return (
        f'<form{wide} method="post" action="/web/{session.id}/{card}">'
        f'<button{css} id="{card}">{escape(label)}</button></form>'
    )


def _way_back(url: str | None, kind: str) -> str:
    if url is None:
        return ""
    target = escape(url, quote=True)
    return f'<a class="button {kind}" id="return" href="{target}">Back to the shop</a>'


def _money(amount: int) -> str:
    return f"{amount:,} ₫".replace(",", ".")


def _page(content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Checkout (simulated)</title><style>{STYLE}</style></head>"
        f"<body><main>{content}</main></body></html>"
    )
