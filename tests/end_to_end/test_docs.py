"""The documentation in a real browser: it is whole, silent, asks nobody else, and fits a phone.

The pictures stay in var/pictures, for people.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.browser import Tab, browser
from tests.support.process import Development, development, wait_until

PICTURES = Path(__file__).parents[2] / "var" / "pictures"
PAGES = ["docs", "docs/errors", "docs/events"]
WIDTHS = {"desk": 1280, "phone": 390}
FITS = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    with development(tmp_path_factory.mktemp("docs")) as service:
        yield service


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as opened:
        yield opened


def open_page(tab: Tab, url: str, width: int) -> None:
    """Open a page and wait until it is drawn."""
    tab.resize(width)
    tab.open(url)
    drawn = "document.querySelectorAll('section.code, section.topic, .opblock').length"
    wait_until(lambda: tab.ask(drawn) > 0, what=f"{url} is drawn")


def assert_sound(tab: Tab, running: Development, width: int) -> None:
    """Nothing was complained of, nobody else was asked, and it fits the window."""
    asked = {urlsplit(url).netloc for url in tab.requests()}
    assert tab.errors() == []
    assert asked == {urlsplit(running.url).netloc}
    assert tab.ask("window.innerWidth") == width
    assert tab.ask(FITS)


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_page_is_whole_and_fits(running: Development, tab: Tab, page: str, device: str) -> None:
    open_page(tab, f"{running.url}/{page}", WIDTHS[device])

    PICTURES.mkdir(parents=True, exist_ok=True)
    tab.save(PICTURES / f"{page.replace('/', '-')}-{device}.png")
    assert_sound(tab, running, WIDTHS[device])
    assert len(tab.picture().getcolors() or []) > 20  # shades of grey: something is drawn
    assert tab.ask("getComputedStyle(document.querySelector('.top')).display") == "flex"


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("device", WIDTHS)
def test_operation_opens_by_its_address(running: Development, tab: Tab, device: str) -> None:
    open_page(tab, f"{running.url}/docs", WIDTHS[device])  # else only the anchor would change
    address = f"{running.url}/docs?{device}#/payments/createPayment"

    open_page(tab, address, WIDTHS[device])

    wait_until(lambda: "One order of 45,000 VND" in tab.text(), what="the operation is open")
    assert_sound(tab, running, WIDTHS[device])


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_operation_can_be_tried_out(running: Development, tab: Tab) -> None:
    open_page(tab, f"{running.url}/docs?try#/system/getHealth", WIDTHS["desk"])
    operation = "#operations-system-getHealth"

    for button in (".try-out__btn", ".execute"):
        found = f"document.querySelector('{operation} {button}') !== null"
        wait_until(lambda found=found: tab.ask(found), what=button)
        tab.ask(f"document.querySelector('{operation} {button}').click()")

    answer = f"document.querySelector('{operation} .live-responses-table .response')"
    wait_until(lambda: tab.ask(f"{answer} !== null"), what="the answer is shown")
    assert tab.ask(f"{answer}.textContent").startswith("200")
    assert_sound(tab, running, WIDTHS["desk"])


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_type_of_a_problem_opens_its_section(running: Development, tab: Tab) -> None:
    problem = running.call("GET", "/v1/payments/pay_00000000000000000000000000").json()

    open_page(tab, problem["type"], WIDTHS["phone"])

    top = "document.getElementById('NOT_FOUND').getBoundingClientRect().top"
    wait_until(lambda: 0 <= tab.ask(top) < 400, what="its section is in view")
    assert "tenant that created it" in tab.ask("document.querySelector(':target').textContent")
    assert_sound(tab, running, WIDTHS["phone"])
