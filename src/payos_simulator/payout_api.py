"""The payout channel: money out, and the wallet it comes from."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payos_simulator import envelope, signatures
from payos_simulator.channel import checked, read_json, require
from payos_simulator.config import Config
from payos_simulator.ledger import VIETNAM, Ledger, Payout, Refused

_ITEM = {"referenceId", "amount", "description", "toBin", "toAccountNumber"}
_SINGLE = _ITEM | {"category"}
_BATCH = {"referenceId", "validateDestination", "category", "payouts"}
FEE = 0  # VND a payout
PAGE_MAX = 100
BIN_DIGITS = 6


class PayoutApi:
    """The endpoints of payOS's payout channel.

    Attributes:
        variants: Which SDK's percent-encoding the requests were signed with, newest last.
    """

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger
        self.variants: list[str] = []

    def routes(self) -> list[Route]:
        """List the endpoints; the SDKs differ in a slash at the end."""
        table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("/v1/payouts", "POST", self.create),
            ("/v1/payouts/", "POST", self.create),
            ("/v1/payouts/batch", "POST", self.create_batch),
            ("/v1/payouts", "GET", self.list_payouts),
            ("/v1/payouts/", "GET", self.list_payouts),
            ("/v1/payouts/estimate-credit", "POST", self.estimate),
            ("/v1/payouts/{id}", "GET", self.get),
            ("/v1/payouts-account/balance", "GET", self.balance),
        ]
        channel = self._config.payout
        return [
            Route(path, checked(handler, channel), methods=[method])
            for path, method, handler in table
        ]

    async def create(self, request: Request) -> Response:
        """Pay out once."""
        body = await self._signed_body(request)
        self._check_item(body, _SINGLE)
        payout = self._ledger.pay_out(body, self._idempotency_key(request))
        return envelope.signed_in_header(self._view([payout]), self._config.payout)

    async def create_batch(self, request: Request) -> Response:
        """Pay out several at once."""
        body = await self._signed_body(request)
        require(set(body) <= _BATCH and isinstance(body.get("payouts"), list), "payouts")
        key = self._idempotency_key(request)
        for item in body["payouts"]:
            self._check_item(item, _ITEM)
        made = [
            self._ledger.pay_out(item, f"{key}:{number}")
            for number, item in enumerate(body["payouts"])
        ]
        view = self._view(made) | {"referenceId": body["referenceId"]}
        return envelope.signed_in_header(view, self._config.payout)

    async def list_payouts(self, request: Request) -> Response:
        """List payouts, newest first."""
        query = request.query_params
        limit = min(int(query.get("limit", 10)), PAGE_MAX)
        offset = int(query.get("offset", 0))
        found = [
            self._ledger.look_at(payout)
            for payout in reversed(self._ledger.books.payouts.values())
            if query.get("referenceId") in {None, payout.reference}
            and query.get("approvalState") in {None, payout.approval}
        ]
        page = found[offset : offset + limit]
        data = {
            "pagination": {
                "limit": limit,
                "offset": offset,
                "total": len(found),
                "count": len(page),
                "hasMore": offset + limit < len(found),
            },
            "payouts": [self._view([payout]) for payout in page],
        }
        return envelope.signed_in_header(data, self._config.payout)

    async def get(self, request: Request) -> Response:
        """Tell the state of a payout."""
        payout = self._ledger.books.payouts.get(request.path_params["id"])
        if payout is None:
            raise Refused("101", "PAYOUT_BATCH_NOT_FOUND")
        view = self._view([self._ledger.look_at(payout)])
        return envelope.signed_in_header(view, self._config.payout)

    async def estimate(self, request: Request) -> Response:
        """Tell what payouts would cost."""
        body = await self._signed_body(request)
        items = body.get("payouts", [body])
        total = sum(item["amount"] + FEE for item in items)
        return envelope.unsigned({"estimateCredit": total})

    async def balance(self, _request: Request) -> Response:
        """Tell what is in the wallet: as text, as payOS does."""
        data = {
            "accountNumber": self._config.account_number,
            "accountName": self._config.account_name,
            "currency": "VND",
            "balance": str(self._ledger.books.wallet),
        }
        return envelope.signed_in_header(data, self._config.payout)

    async def _signed_body(self, request: Request) -> dict[str, Any]:
        body = await read_json(request)
        given = request.headers.get("x-signature", "")
        variant = signatures.payout_variant(body, given, self._config.payout.checksum_key)
        if variant is None:
            raise Refused("201", "Chữ ký không hợp lệ")
        self.variants.append(variant)
        return body

    def _idempotency_key(self, request: Request) -> str:
        key = request.headers.get("x-idempotency-key", "")
        if not key:
            raise Refused("20", "INVALID_IDEMPOTENCY_KEY")
        return key

    def _check_item(self, item: Any, known: set[str]) -> None:
        require(isinstance(item, dict) and set(item) <= known and set(item) >= _ITEM, "fields")
        require(isinstance(item["amount"], int) and item["amount"] > 0, "amount")
        to_bin = item["toBin"]
        require(isinstance(to_bin, str) and len(to_bin) == BIN_DIGITS, "toBin")
        for name in ("referenceId", "description", "toAccountNumber"):
            require(isinstance(item[name], str) and item[name], name)
        if item["toAccountNumber"].startswith("000404"):
            raise Refused("20", "INVALID_DESTINATION")

    def _view(self, payouts: list[Payout]) -> dict[str, Any]:
        first = payouts[0]
        return {
            "id": first.id,
            "referenceId": first.reference,
            "transactions": [self._transaction(payout) for payout in payouts],
            "category": first.category,
            "approvalState": first.approval,
            "createdAt": first.created_at.astimezone(VIETNAM).isoformat(timespec="seconds"),
        }

    def _transaction(self, payout: Payout) -> dict[str, Any]:
        done = payout.state == "SUCCEEDED"
        return {
            "id": f"txn_{payout.id}",
            "referenceId": payout.reference,
            "amount": payout.amount,
            "description": payout.description,
            "toBin": payout.to_bin,
            "toAccountNumber": payout.to_account,
            "toAccountName": "NGUYEN VAN A",
            "reference": f"FT{payout.id[-10:]}" if done else None,
            "transactionDatetime": (
                payout.created_at.astimezone(VIETNAM).isoformat(timespec="seconds")
                if done
                else None
            ),
            "errorMessage": None,
            "errorCode": None,
            "state": payout.state,
        }
