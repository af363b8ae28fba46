"""One JSON line for each event, from our code and from libraries, without secrets."""

import asyncio
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import structlog

from payment_service.telemetry import logging as service_logging
from payment_service.telemetry.logging import LimitNoise, bind, bound, get_logger
from payment_service.telemetry.masking import Masked, scrub

CANARY = "canary-0123456789"
Lines = Callable[[], list[dict]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Configure logging into a buffer; leave the process as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    service_logging.configure("INFO", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def fail(error: Exception) -> None:
    raise error


def test_our_event_is_one_json_line(lines: Lines):
    get_logger("payment_service.test").info("payment.created", payment_id="pay_1", amount=45000)

    (line,) = lines()
    written = datetime.fromisoformat(line.pop("time"))
    assert written.utcoffset() == timedelta(0)
    assert line == {
        "level": "info",
        "logger": "payment_service.test",
        "event": "payment.created",
        "payment_id": "pay_1",
        "amount": 45000,
    }


@pytest.mark.parametrize("name", ["uvicorn.error", "sqlalchemy.pool", "aiokafka.conn", "asyncmy"])
def test_a_library_s_record_is_the_same_kind_of_line(lines: Lines, name: str):
    logging.getLogger(name).error("lost %s after %d s", "it", 3, extra={"peer": "db-1"})

    (line,) = lines()
    assert line["event"] == "lost it after 3 s"
    assert (line["level"], line["logger"], line["peer"]) == ("error", name, "db-1")
    assert line["time"].endswith("Z")


def test_a_line_break_stays_inside_its_line(lines: Lines):
    odd = 'a\nb\r\n{"level":"error"}\u2028\u2029\x85\x00'
    get_logger("test").info("odd", text=odd)

    (line,) = lines()
    assert line["text"] == odd


def test_text_that_is_no_unicode_is_written_all_the_same(lines: Lines):
    # Only ours: what pytest captures must travel between its workers, and such text cannot.
    logging.getLogger().handlers = logging.getLogger().handlers[:1]
    get_logger("ours").info("odd", text="\ud800 half", **{"\udfff": 1})
    logging.getLogger("theirs").error("\ud800 half")

    ours, theirs = lines()
    assert ours["text"] == theirs["event"] == "\ud800 half"


class Full(io.StringIO):
    """A disk without room."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_line_that_cannot_be_written_fails_nobody(lines: Lines):
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    written = handler.setStream(Full())

    get_logger("ours").info("lost")

    handler.setStream(written)
    get_logger("ours").info("kept")
    assert [line["event"] for line in lines()] == ["kept"]


def test_an_exception_is_one_field(lines: Lines):
    try:
        fail(ValueError("no such row"))
    except ValueError:
        get_logger("ours").exception("job.failed")
        logging.getLogger("theirs").exception("job failed")

    for line in lines():
        assert "Traceback" in line["exception"]
        assert "ValueError: no such row" in line["exception"]
        assert "exc_info" not in line


def test_bound_fields_are_on_every_line_of_the_block_and_on_none_after(lines: Lines):
    with bound(request_id="req_1"):
        bind(user_id="u1", tenant_id="t1")
        get_logger("ours").info("one")
        logging.getLogger("theirs").warning("two")
    get_logger("ours").info("three")

    one, two, three = lines()
    assert (one["request_id"], one["user_id"], one["tenant_id"]) == ("req_1", "u1", "t1")
    assert two["request_id"] == "req_1"
    assert "request_id" not in three


async def test_concurrent_tasks_do_not_share_fields(lines: Lines):
    async def serve(request_id: str) -> None:
        bind(request_id=request_id)
        await asyncio.sleep(0)
        get_logger("ours").info(request_id)

    await asyncio.gather(*(asyncio.create_task(serve(f"req_{n}")) for n in range(10)))

    assert [line["request_id"] for line in lines()] == [line["event"] for line in lines()]


def test_a_bound_field_is_masked_like_any_other(lines: Lines):
    bind(note=f"kafka://user:{CANARY}@a:9092", access_token=CANARY)
    with bound(signature=CANARY):
        get_logger("ours").info("e")
        logging.getLogger("theirs").error("e")

    assert CANARY not in json.dumps(lines())
    assert len(lines()) == 2


class Writes(io.StringIO):
    """A stream that counts calls of the system."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return super().write(text)


@pytest.fixture
def writes(lines: Lines) -> Writes:
    """Configure logging into a stream that counts."""
    service_logging.configure("INFO", stream := Writes())
    return stream


def test_lines_of_one_turn_of_the_loop_are_written_together_and_in_order(writes: Writes):
    async def serve(number: int) -> None:
        get_logger("ours").info(f"ours {number}")
        logging.getLogger("theirs").warning("theirs %d", number)

    async def serve_all() -> None:
        await asyncio.gather(*(serve(number) for number in range(20)))

    asyncio.run(serve_all())

    events = [json.loads(line)["event"] for line in writes.getvalue().splitlines()]
    assert events == [f"{who} {number}" for number in range(20) for who in ("ours", "theirs")]
    assert len(writes.written) == 1


def test_a_line_outside_of_a_loop_is_written_at_once(writes: Writes):
    get_logger("ours").info("one")
    assert len(writes.written) == 1
    logging.getLogger("theirs").warning("two")
    assert len(writes.written) == 2


def test_the_last_line_of_a_loop_that_stops_is_not_lost(writes: Writes):
    async def say_and_stop() -> None:
        get_logger("ours").info("last words")
        asyncio.get_running_loop().stop()

    loop = asyncio.new_event_loop()
    task = loop.create_task(say_and_stop())
    loop.run_forever()
    assert task.done()
    loop.close()
    assert writes.written == [], "or this test shows nothing"

    async def say() -> None:
        get_logger("ours").info("another loop")

    asyncio.run(say())

    events = [json.loads(line)["event"] for line in writes.getvalue().splitlines()]
    assert events == ["last words", "another loop"]


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "api_key", "x-api-key", "checksum_key", "signature",
     "password", "access_token", "account_number", "account_name", "payload", "body",
     "counterAccountNumber", "client_secret", "Set-Cookie"],
)  # fmt: skip
def test_a_field_with_such_a_name_is_masked_however_deep_it_sits(lines: Lines, name: str):
    get_logger("ours").info("e", **{name: CANARY}, deep={"list": [{name: CANARY}]})
    logging.getLogger("theirs").error("e", extra={name: CANARY})

    ours, theirs = lines()
    assert CANARY not in json.dumps([ours, theirs])
    assert ours[name] == theirs[name] == ours["deep"]["list"][0][name] == "***"


@pytest.mark.parametrize(
    "text",
    [
        f"mysql+asyncmy://root:{CANARY}@db:3306/payments refused",
        f"kafka://user:{CANARY}@a:9092",
        f"sent Authorization: Bearer {CANARY}",
        f"(1062, 'Duplicate') [parameters: ('{CANARY}', 1)]\n(Background on this error at: x)",
    ],
)
def test_secrets_in_texts_and_exceptions_are_masked(lines: Lines, text: str):
    try:
        fail(RuntimeError(text))
    except RuntimeError:
        get_logger("ours").exception("failed", detail=text)
        logging.getLogger("theirs").exception(text)

    assert CANARY not in json.dumps(lines())
    assert len(lines()) == 2


def test_what_is_no_secret_stays_legible(lines: Lines):
    get_logger("ours").info("e", url="http://127.0.0.1:8000/v1", amount=1, ok=True, nothing=None)

    (line,) = lines()
    assert (line["url"], line["amount"]) == ("http://127.0.0.1:8000/v1", 1)
    assert line["ok"] is True
    assert line["nothing"] is None


def test_values_of_any_kind_and_size_can_be_logged(lines: Lines):
    circle: dict = {}
    circle["self"] = circle
    get_logger("ours").info(
        "e", raw=b"\xff" * 9, big=10**40, text="x" * 100_000, circle=circle, thing=object(),
        many=list(range(1000)), not_a_number=float("nan"),
    )  # fmt: skip

    (line,) = lines()
    assert line["raw"] == "<9 bytes>"
    assert len(json.dumps(line)) < 30_000


def test_a_masked_text_shows_its_end_only_wherever_it_is_written(lines: Lines):
    secret = Masked("970422123456781234")

    get_logger("ours").info("e", account_number=secret, note=f"to {secret}", deep=[secret])
    logging.getLogger("theirs").error("to %s %r", secret, secret)

    shown = json.dumps([*lines(), secret, [str(secret), repr(secret), f"{secret:>20}"]])
    assert "97042212345678" not in shown
    assert lines()[0]["account_number"] == "***1234"
    assert secret.reveal() == "970422123456781234"


@pytest.mark.parametrize("short", ["", "1", "1234", "1234567"])
def test_a_short_secret_shows_nothing(short: str):
    assert str(Masked(short)) == "***"


def test_a_long_text_is_scrubbed_in_bounded_time():
    hostile = "://" + "a" * 200_000 + " [parameters: " * 10_000

    assert len(scrub(hostile)) < 20_000


def test_a_library_that_repeats_itself_is_written_once_a_window():
    now = [0.0]
    limit = LimitNoise(lambda: now[0])

    def passes(name: str, text: str) -> logging.LogRecord | None:
        record = logging.LogRecord(name, logging.ERROR, __file__, 1, text, (), None)
        return record if limit.filter(record) else None

    assert passes("aiokafka.conn", "Unable to connect to %s")
    assert not any(passes("aiokafka.conn", "Unable to connect to %s") for _ in range(900))
    assert passes("aiokafka.conn", "another line")
    assert all(passes("payment_service.relay", "same") for _ in range(3)), "ours are not limited"

    now[0] = service_logging.NOISE_WINDOW_SECONDS
    assert passes("aiokafka.conn", "Unable to connect to %s").left_out == 900


def test_the_memory_of_repeated_lines_is_bounded():
    limit = LimitNoise(lambda: 0.0)

    for number in range(5 * service_logging.NOISE_KINDS_MAX):
        record = logging.LogRecord("aiokafka", logging.ERROR, __file__, 1, str(number), (), None)
        assert limit.filter(record)

    assert len(limit._seen) <= service_logging.NOISE_KINDS_MAX


def test_warnings_of_python_are_lines_too(lines: Lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    assert "DeprecationWarning: old" in lines()[0]["event"]


def test_events_below_the_level_are_not_written(lines: Lines):
    get_logger("ours").debug("e")
    logging.getLogger("theirs").debug("e")

    assert lines() == []


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="one of DEBUG, INFO"):
        service_logging.configure("LOUD", sys.stderr)
