"""The payment channel: links, invoices, and where webhooks go."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from payos_simulator import envelope, signatures, vietqr
from payos_simulator.channel import checked, read_json, require
from payos_simulator.config import Config
from payos_simulator.ledger import VIETNAM, Ledger, Link, Refused, Transfer
from payos_simulator.webhooks import Webhooks

ORDER_CODE_MAX = 2**53 - 1
DESCRIPTION_MAX = 25


class PaymentApi:
    """The endpoints of payOS's payment channel."""

    def __init__(self, config: Config, ledger: Ledger, webhooks: Webhooks) -> None:
        self._config = config
        self._ledger = ledger
        self._webhooks = webhooks

    def routes(self) -> list[Route]:
        """List the endpoints."""
        base = "/v2/payment-requests"
        table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            (base, "POST", self.create),
            (base + "/{name}", "GET", self.get),
            (base + "/{name}/cancel", "POST", self.cancel),
            (base + "/{name}/invoices", "GET", self.invoices),
            (base + "/{name}/invoices/{invoice}/download", "GET", self.download_invoice),
            ("/confirm-webhook", "POST", self.confirm_webhook),
        ]
        channel = self._config.payment
        return [
            Route(path, checked(handler, channel), methods=[method])
            for path, method, handler in table
        ]

    async def create(self, request: Request) -> Response:
        """Make a payment link."""
        body = await read_json(request)
        self._check_create(body)
        expected = signatures.of_create_request(body, self._config.payment.checksum_key)
        if body.get("signature") != expected:
            raise Refused("201", "Chữ ký không hợp lệ")
        link = self._ledger.open_link(body)
        return envelope.signed_in_body(self._created(link), self._config.payment)

    async def get(self, request: Request) -> Response:
        """Tell the state of a link."""
        link = self._ledger.link(request.path_params["name"])
        return envelope.signed_in_body(self._state(link), self._config.payment)

    async def cancel(self, request: Request) -> Response:
        """Close a link."""
        body = await read_json(request)
        link = self._ledger.link(request.path_params["name"])
        self._ledger.cancel(link, body.get("cancellationReason"))
        return envelope.signed_in_body(self._state(link), self._config.payment)

    async def invoices(self, request: Request) -> Response:
        """List the invoices of a link: one once it is paid."""
        link = self._ledger.link(request.path_params["name"])
        paid = link.status(self._ledger.now()) == "PAID"
        data = {"invoices": [self._invoice(link)] if paid else []}
        return envelope.signed_in_body(data, self._config.payment)

    async def download_invoice(self, request: Request) -> Response:
        """Give an invoice as a PDF."""
        link = self._ledger.link(request.path_params["name"])
        headers = {"content-disposition": f'attachment; filename="invoice-{link.order_code}.pdf"'}
        return Response(b"%PDF-1.4\n%%EOF\n", media_type="application/pdf", headers=headers)

    async def confirm_webhook(self, request: Request) -> Response:
        """Register the webhook URL, after it has answered a ping."""
        body = await read_json(request)
        url = str(body.get("webhookUrl"))
        require(url.startswith(("http://", "https://")), "webhookUrl")
        fault = await self._webhooks.ping(url)
        if fault is not None:
            content = {"code": "20", "desc": "Webhook url invalid", "data": fault}
            return JSONResponse(content, status_code=400)
        self._ledger.books.webhook_url = url
        self._ledger.on_change()
        return envelope.unsigned(
            {
                "webhookUrl": url,
                "accountNumber": self._config.account_number,
                "accountName": self._config.account_name,
                "name": "Ngân hàng TMCP Quân đội",
                "shortName": "MBBank",
            }
        )

    def _check_create(self, body: dict[str, Any]) -> None:
        code, amount, description = (body.get(k) for k in ("orderCode", "amount", "description"))
        require(isinstance(code, int) and 0 < code <= ORDER_CODE_MAX, "orderCode")
        low, high = self._config.amount_min, self._config.amount_max
        require(isinstance(amount, int) and low <= amount <= high, "amount")
        require(isinstance(description, str) and len(description) <= DESCRIPTION_MAX, "description")
        for name in ("returnUrl", "cancelUrl"):
            require(isinstance(body.get(name), str) and "://" in body[name], name)
        expired_at = body.get("expiredAt")
        require(expired_at is None or isinstance(expired_at, int), "expiredAt")

    def _created(self, link: Link) -> dict[str, Any]:
        config = self._config
        return {
            "bin": config.bank_bin,
            "accountNumber": config.account_number,
            "accountName": config.account_name,
            "amount": link.amount,
            "description": link.description,
            "orderCode": link.order_code,
            "currency": "VND",
            "paymentLinkId": link.id,
            "status": link.status(self._ledger.now()),
            "expiredAt": link.expired_at,
            "checkoutUrl": f"{config.public_url}/web/{link.id}",
            "qrCode": self.qr_text(link),
        }

    def qr_text(self, link: Link) -> str:
        """Write the text of a link's QR code."""
        return vietqr.text(
            bank_bin=self._config.bank_bin,
            account=self._config.account_number,
            amount=link.amount,
            description=link.description,
        )

    def _state(self, link: Link) -> dict[str, Any]:
        canceled = link.canceled_at and link.canceled_at.astimezone(VIETNAM)
        return {
            "id": link.id,
            "orderCode": link.order_code,
            "amount": link.amount,
            "amountPaid": link.paid,
            "amountRemaining": max(0, link.amount - link.paid),
            "status": link.status(self._ledger.now()),
            "createdAt": link.created_at.astimezone(VIETNAM).isoformat(timespec="seconds"),
            "transactions": [self._transaction(link, each) for each in link.transfers],
            "cancellationReason": link.cancellation_reason,
            "canceledAt": canceled.isoformat(timespec="seconds") if canceled else None,
        }

    def _transaction(self, link: Link, transfer: Transfer) -> dict[str, Any]:
        return {
            "reference": transfer.reference,
            "amount": transfer.amount,
            "accountNumber": self._config.account_number,
            "description": link.description,
            "transactionDateTime": transfer.at.astimezone(VIETNAM).isoformat(timespec="seconds"),
            "virtualAccountName": None,
            "virtualAccountNumber": None,
            "counterAccountBankId": transfer.counter_bank or None,
            "counterAccountBankName": None,
            "counterAccountName": transfer.counter_name or None,
            "counterAccountNumber": transfer.counter_account or None,
        }

    def _invoice(self, link: Link) -> dict[str, Any]:
        return {
            "invoiceId": f"inv_{link.order_code}",
            "invoiceNumber": str(link.order_code),
            "issuedTimestamp": int(link.transfers[-1].at.timestamp() * 1000),
            "issuedDatetime": link.transfers[-1].at.astimezone(VIETNAM).isoformat(),
            "transactionId": link.transfers[-1].reference,
            "reservationCode": None,
            "codeOfTax": None,
        }
