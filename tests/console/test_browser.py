"""The console in a real browser: by day and night, on a phone, by keyboard, with hostile texts."""

import asyncio
import json
from collections.abc import Iterator
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from PIL import Image

from payment_service.console.gate import FAILURES_AT_ONCE
from tests.console.conftest import NAME, TOKEN, Console
from tests.support.browser import Tab, browser
from tests.support.simulator import Simulator

ENTER, ESCAPE = "\ue007", "\ue00c"
HOSTILE = (
    "<script>document.title = 'stolen'</script><img src=x onerror=\"document.title='stolen'\">"
)
WIDE, PHONE = (1280, 900), (390, 844)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as opened:
        opened.look(width=WIDE[0], height=WIDE[1])
        yield opened


def enter(tab: Tab, console: Console, *, name: str = NAME, path: str = "") -> None:
    """Open the console as a newcomer does, and sign in."""
    tab.open(f"{console.url}/console{path}")
    tab.forget()
    tab.wait_for("!document.querySelector('#door').hidden")
    tab.errors()
    tab.requested()
    tab.type("#name", name)
    tab.type("#token", TOKEN)
    tab.press(ENTER)
    tab.wait_for("document.querySelectorAll('.tile, .card, .empty').length > 0")


def fits(tab: Tab) -> bool:
    """Tell whether nothing has to be pushed aside to be read."""
    script = "const page = document.documentElement; return page.scrollWidth <= page.clientWidth"
    return bool(tab.run(script))


def brightness(tab: Tab) -> float:
    """Measure how bright the page is, from 0 to 255."""
    picture = Image.open(BytesIO(tab.screenshot())).convert("L").resize((1, 1))
    return float(str(picture.getpixel((0, 0))))


async def test_support_answers_a_payer_without_the_mouse(console: Console, tab: Tab) -> None:
    payment = await console.desk.paid(130, order_reference="order-4711")

    def work() -> None:
        enter(tab, console)
        tab.press("/")
        tab.type("#text", "order-4711")
        tab.press(ENTER)
        tab.wait_for("document.querySelectorAll('.story li').length > 4")
        told = str(tab.run("return document.querySelector('#view').innerText"))
        for words in (payment["payment_id"], "was paid at", "130 VND", "bank reference FT",
                      "Question: overpaid", "Payment created", "by client:tester"):  # fmt: skip
            assert words in told, words
        tab.press(ESCAPE)
        tab.press("o")
        tab.wait_for("document.querySelectorAll('.tile').length === 8")
        assert "exceptions resolve exc_" not in tab.run("return document.body.innerText")
        tab.click("#questions summary")
        assert "--refund source" in tab.run("return document.body.innerText")
        assert tab.errors() == []
        hosts = {urlsplit(url).netloc for url in tab.requested()}
        assert hosts == {urlsplit(console.url).netloc}

    await asyncio.to_thread(work)


async def test_a_dead_letter_is_replayed_with_a_reason_under_a_name(
    console: Console, tab: Tab
) -> None:
    letter = await console.dead_letter()

    def work() -> None:
        enter(tab, console)
        tab.click("#dead-letters button.replay")
        assert tab.run("return document.activeElement.id") == "note"
        tab.press(ENTER)  # without a reason nothing is sent
        assert tab.run("return document.querySelector('#replay').open")
        tab.type("#note", "the link was mended")
        tab.press(ENTER)
        tab.wait_for("!document.querySelector('#toast').hidden")
        assert not tab.run("return document.querySelector('#replay').open")
        tab.open(f"{console.url}/console#/webhook/{letter}")
        tab.wait_for("document.querySelectorAll('pre').length")
        told = str(tab.run("return document.querySelector('#view').innerText"))
        assert f"operator:{NAME}" in told
        assert "the link was mended" in told
        assert tab.errors() == []

    await asyncio.to_thread(work)


async def test_hostile_texts_are_shown_as_texts(console: Console, tab: Tab) -> None:
    payment = await console.service.create(100, description=HOSTILE, metadata={"note": HOSTILE})
    await console.desk.pay(payment, 100, counter_name=HOSTILE)
    letter = await console.dead_letter()

    def work() -> None:
        enter(tab, console, name=HOSTILE[:64])
        title = tab.run("return document.title")
        assert tab.run("return document.querySelector('#operator').textContent") == HOSTILE[:64]
        tab.click("#dead-letters button.replay")
        tab.type("#note", HOSTILE)
        tab.press(ENTER)
        tab.wait_for("!document.querySelector('#toast').hidden")
        for place in (f"find/{payment['payment_id']}", f"webhook/{letter}", "find/%3Cscript%3E"):
            tab.open(f"{console.url}/console#/{place}")
            tab.wait_for("document.querySelectorAll('.card, .empty').length")
        tab.open(f"{console.url}/console#/webhook/{letter}")
        tab.wait_for("document.querySelectorAll('pre').length")
        assert HOSTILE in tab.run("return document.querySelector('#view').innerText")
        assert tab.run("return document.querySelectorAll('main script, main img').length") == 0
        assert tab.run("return document.title") == title
        assert tab.errors() == []

    await asyncio.to_thread(work)


async def test_text_cannot_become_markup_even_by_a_mistake_of_ours(
    console: Console, tab: Tab
) -> None:
    def work() -> None:
        enter(tab, console)
        tried = tab.run(
            f"try {{ document.body.innerHTML = {json.dumps(HOSTILE)}; return 'taken' }}"
            " catch (error) { return error.name }"
        )
        assert tried == "TypeError"
        assert "TrustedHTML" in " ".join(tab.errors())

    await asyncio.to_thread(work)


async def test_a_wrong_token_is_told_and_too_many_are_held_up(console: Console, tab: Tab) -> None:
    def work() -> None:
        tab.open(f"{console.url}/console")
        tab.forget()
        tab.wait_for("!document.querySelector('#door').hidden")
        tab.type("#name", NAME)
        fault = "document.querySelector('#door-fault').textContent"
        for _ in range(FAILURES_AT_ONCE):
            tab.run("document.querySelector('#door-fault').textContent = ''")
            tab.type("#token", "wrong")
            tab.press(ENTER)
            tab.wait_for(f"{fault} === 'That is not the token.'")
        tab.type("#token", TOKEN)
        tab.press(ENTER)
        tab.wait_for(f"{fault}.startsWith('Too many')")
        assert tab.run("return document.querySelector('#room').hidden")
        assert {error.rpartition(" - ")[2][:6] for error in tab.errors()} == {"Failed"}

    await asyncio.to_thread(work)


async def test_it_is_read_on_a_phone_and_in_the_dark(console: Console, tab: Tab) -> None:
    story = await console.desk.returned()
    await console.desk.expired(50, late=70)
    await console.desk.unmatched()
    letter = await console.dead_letter()
    places = ("", f"find/{story['payment_id']}", f"webhook/{letter}")

    def work() -> None:
        enter(tab, console)
        try:
            for place in places:
                tab.open(f"{console.url}/console#/{place}")
                tab.wait_for("document.querySelectorAll('.tile, .card').length")
                for width, height in (WIDE, PHONE):
                    tab.look(width=width, height=height, scheme="light")
                    assert fits(tab), f"/{place} at {width}"
                    light = brightness(tab)
                    tab.look(width=width, height=height, scheme="dark")
                    assert light - brightness(tab) > 100, f"/{place} at {width} is as bright"
            assert tab.errors() == []
        finally:
            tab.look(width=WIDE[0], height=WIDE[1])

    await asyncio.to_thread(work)


async def test_an_ended_session_leads_to_the_door_and_nothing_stays_on_the_page(
    console: Console, tab: Tab, simulator: Simulator
) -> None:
    payment = await console.desk.paid(100)

    def work() -> None:
        enter(tab, console, path=f"#/find/{payment['payment_id']}")
        tab.wait_for("document.querySelectorAll('.story').length")
        tab.click("#sign-out")
        tab.wait_for("!document.querySelector('#door').hidden")
        assert payment["payment_id"] not in tab.text()
        assert tab.run("return document.cookie") == ""
        assert tab.errors() == []

    await asyncio.to_thread(work)
