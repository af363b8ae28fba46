"""What can happen to a payment, told by its events: the streams of the corpus are of these."""

from collections.abc import Awaitable, Callable

from tests.support.odd_money import OddMoney

Story = Callable[[OddMoney], Awaitable[object]]


async def paid_and_refunded(desk: OddMoney) -> None:
    """Paid in two transfers and a little more; refunded in part, then in full."""
    payment = await desk.paid(60, 50, metadata={"seat": "7F", "campaign": "autumn"})
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    for amount in (30, 80):
        body = {"amount": amount, "reason": "other", "destination": {"type": "source"}}
        assert (await desk.service.request("POST", path, body)).status_code == 201
        await desk.service.settle()
        await desk.service.advance(10)


async def canceled(desk: OddMoney) -> None:
    """Given up by the shop before anybody paid."""
    payment = await desk.service.create(100)
    path = f"/v1/payments/{payment['payment_id']}/cancel"
    assert (await desk.service.request("POST", path, {"reason": "sold out"})).status_code == 200


async def late_and_applied(desk: OddMoney) -> None:
    """Paid after it had expired; the money is moved to a new payment of the order."""
    late = await desk.expired(late=100)
    order = late["order_reference"]
    fresh = await desk.service.create(100, order_reference=order)
    exception = await desk.exception(late)
    moved = await desk.resolve(exception, "apply", payment_id=fresh["payment_id"])
    assert moved.status_code == 200, moved.text


async def refund_returned(desk: OddMoney) -> None:
    """Refunded in part, and the bank sends the refund back."""
    await desk.returned()


async def two_reports_disagree(desk: OddMoney) -> None:
    """Paid, and one transfer is reported with two amounts."""
    await desk.contradicted()


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        paid_and_refunded,
        canceled,
        late_and_applied,
        refund_returned,
        two_reports_disagree,
    )
}
