"""Who gets into the console, and what a page elsewhere can make a browser do there: nothing."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from payment_service.bootstrap import ALL_ROLES
from payment_service.console.exchange import BODY_BYTES_MAX, Call, Refused
from payment_service.console.gate import COOKIE, FAILURES_AT_ONCE, LIFETIME, Gate
from payment_service.domain.clock import OffsetClock
from tests.console.conftest import NAME, TOKEN, Console
from tests.support.service import Harness, environment, running_service

READS = ("overview", "payments?text=order-1", "exceptions", "webhooks", f"webhooks/whk_{'0' * 26}")
REPLAY = f"/console/webhooks/whk_{'0' * 26}/replay"
ASSETS = ("console.js", "calls.js", "dom.js", "overview.js", "timeline.js", "console.css",
          "icon.svg")  # fmt: skip


async def test_nobody_sees_anything_without_signing_in(console: Console) -> None:
    async with console.client(headers=console.origin) as stranger:
        read = [await stranger.get(f"/console/{path}") for path in READS]
        written = await stranger.post(REPLAY, json={"note": "x"})
        asked = await stranger.get("/console/session")

    assert {answer.status_code for answer in [*read, written]} == {401}
    assert {answer.text for answer in [*read, written]} == {'{"error":"Sign in first."}'}
    assert asked.json() == {"name": None}


async def test_the_token_opens_and_signing_out_closes(console: Console) -> None:
    async with console.client(headers=console.origin) as client:
        entered = await console.sign_in(client)
        inside = await client.get("/console/overview")
        named = (await client.get("/console/session")).json()
        left = await client.request("DELETE", "/console/session", headers=JSON)
        outside = await client.get("/console/overview")

    cookie = entered.headers["set-cookie"]
    assert (entered.status_code, inside.status_code, left.status_code) == (204, 200, 204)
    assert {"HttpOnly", "SameSite=Strict", "Path=/console"} <= set(cookie.split("; "))
    assert named == {"name": NAME}
    assert TOKEN not in cookie
    assert outside.status_code == 401


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("token", ["", "x" * 32, TOKEN[:-1], f"{TOKEN} ", TOKEN.upper(), "ö" * 40])
async def test_no_other_token_opens(token: str) -> None:
    with pytest.raises(Refused) as caught:
        await Gate(TOKEN, OffsetClock()).sign_in(call_with({"name": NAME, "token": token}))

    assert caught.value.status == 403


async def test_guessing_is_slowed_down_and_whoever_is_in_goes_on(
    console: Console, operator: httpx.AsyncClient
) -> None:
    async with console.client() as guesser:
        tries = [await console.sign_in(guesser, f"guess {n}") for n in range(FAILURES_AT_ONCE + 1)]
        right = await console.sign_in(guesser)

    assert [answer.status_code for answer in tries] == [403] * FAILURES_AT_ONCE + [429]
    assert right.status_code == 429, "else the limit would tell a right token from a wrong one"
    assert 1 <= int(right.headers["retry-after"]) <= 60
    assert (await operator.get("/console/overview")).status_code == 200


async def test_time_lets_an_honest_mistake_be_repaired_and_ends_a_session() -> None:
    clock = OffsetClock()
    gate = Gate(TOKEN, clock)
    for _ in range(FAILURES_AT_ONCE):
        with pytest.raises(Refused):
            await gate.sign_in(call_with({"name": NAME, "token": "wrong"}))
    with pytest.raises(Refused, match="Wait"):
        await gate.sign_in(call_with({"name": NAME, "token": TOKEN}))

    clock.advance(timedelta(seconds=30))
    cookie = (await gate.sign_in(call_with({"name": NAME, "token": TOKEN}))).split(";")[0]

    assert gate.operator(call_with(cookie=cookie)) == NAME
    clock.advance(LIFETIME)
    assert gate.find_operator(call_with(cookie=cookie)) is None


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "two\nlines", "bell\a", "\u202eesrever"])
async def test_whoever_enters_has_a_name_that_the_audit_log_can_show(name: str) -> None:
    with pytest.raises(Refused) as caught:
        await Gate(TOKEN, OffsetClock()).sign_in(call_with({"name": name, "token": TOKEN}))

    assert caught.value.status == 400


async def test_a_session_cannot_be_forged_changed_or_used_under_a_new_token() -> None:
    clock = OffsetClock()
    gate = Gate(TOKEN, clock)
    cookie = (await gate.sign_in(call_with({"name": NAME, "token": TOKEN}))).split(";")[0]
    content, _, signature = cookie.partition("=")[2].partition(".")
    other = (await gate.sign_in(call_with({"name": "eve", "token": TOKEN}))).split(";")[0]
    forged = [
        "", ".", content, f"{content}.", f"{content}.{'0' * 64}", f"{content}A.{signature}",
        f"{other.partition('=')[2].partition('.')[0]}.{signature}", "ö.ö",
        f"{content}.{signature}=", "%00", "x" * 5000,
    ]  # fmt: skip

    found = [gate.find_operator(call_with(cookie=f"{COOKIE}={value}")) for value in forged]

    assert gate.find_operator(call_with(cookie=cookie)) == NAME
    assert found == [None] * len(forged)
    assert Gate(f"{TOKEN}2", clock).find_operator(call_with(cookie=cookie)) is None


FOREIGN: dict[str, dict[str, str | None]] = {
    "another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "another port of this host": {"origin": "http://127.0.0.1:1", "sec-fetch-site": "same-site"},
    "no origin": {"origin": None},
    "a sandboxed frame": {"origin": "null", "sec-fetch-site": "cross-site"},
    "only the browser knows": {"sec-fetch-site": "same-site"},
    "a form": {"content-type": "text/plain"},
    "a form with JSON in its type": {"content-type": "text/plain; application/json"},
}


async def test_another_page_in_the_operators_browser_can_replay_nothing(
    console: Console, operator: httpx.AsyncClient
) -> None:
    letter = await console.dead_letter()
    body = json.dumps({"note": "from elsewhere"})
    operator.headers.clear()  # but not the cookie: the browser would send it

    answers = {}
    for name, changes in FOREIGN.items():
        headers = {**console.origin, **JSON, **changes}
        sent = {field: value for field, value in headers.items() if value is not None}
        for path in (f"/console/webhooks/{letter}/replay", "/console/session"):
            answers[name, path] = (
                await operator.post(path, content=body, headers=sent)
            ).status_code

    assert {answer for answer in answers if answers[answer] not in {403, 415}} == set()
    shown = (await operator.get(f"/console/webhooks/{letter}")).json()["webhook"]
    assert (shown["status"], shown["replays"]) == ("dead", [])


BODIES = {
    "nothing": b"", "no JSON": b"{", "a list": b"[]", "a number": b'{"note": 1}',
    "nothing said": b'{"note": " "}', "two lines": b'{"note": "a\\nb"}',
    "too long": json.dumps({"note": "x" * 256}).encode(), "no note": b"{}",
    "more than a note": b'{"note": "x", "actor": "somebody else"}',
    "not UTF-8": b'{"note": "\xff"}', "deep": b'{"note":' + b"[" * 1000 + b"]" * 1000 + b"}",
}  # fmt: skip


async def test_a_replay_takes_a_reason_and_nothing_else(
    console: Console, operator: httpx.AsyncClient
) -> None:
    letter = await console.dead_letter()
    path = f"/console/webhooks/{letter}/replay"

    answers = {
        name: (await operator.post(path, content=body, headers=JSON)).status_code
        for name, body in BODIES.items()
    }

    assert answers == dict.fromkeys(BODIES, 400)
    shown = (await operator.get(f"/console/webhooks/{letter}")).json()["webhook"]
    assert (shown["status"], shown["replays"]) == ("dead", [])


async def test_a_body_has_a_bound(operator: httpx.AsyncClient) -> None:
    body = b" " * (BODY_BYTES_MAX + 1)

    answers = [
        await operator.post(path, content=body, headers=JSON)
        for path in (REPLAY, "/console/session")
    ]

    assert [answer.status_code for answer in answers] == [413, 413]


ADDRESSES = {
    "/console/": 404, "/console/index.html": 404, "/console/../metrics": 200,
    "/console/..%2f..%2fsettings.py": 404, "/console/%2e%2e/app.py": 404, "/consoles": 404,
    "/console/webhooks/": 404, "/console/webhooks/whk_1": 404, "/console/webhooks/../session": 200,
    f"/console/webhooks/whk_{'0' * 26}": 404, f"/console/webhooks/pay_{'0' * 26}": 404,
    "/console/payments": 400, "/console/payments?text=": 400,
    f"/console/payments?text={'x' * 129}": 400, "/console/payments?text=a&text=b": 400,
    "/console/payments?text=%00": 400, "/console/payments?text=%ff": 400,
    "/console/payments?" + "&".join(f"a{n}=1" for n in range(9)): 400,
    "/console/payments?text=%27%20OR%201%3D1%20--": 200, "/console/payments?text=%25": 200,
}  # fmt: skip


async def test_hostile_addresses_get_their_answers(operator: httpx.AsyncClient) -> None:
    answers = {path: await operator.get(path) for path in ADDRESSES}

    assert {path: answer.status_code for path, answer in answers.items()} == ADDRESSES
    for path, answer in answers.items():
        if "text=" in path and answer.is_success:
            assert (answer.json()["histories"], answer.json()["unmatched"]) == ([], [])


async def test_no_other_method_is_taken(operator: httpx.AsyncClient) -> None:
    methods = ("PUT", "PATCH", "OPTIONS", "TRACE")

    answers = [await operator.request(method, "/console/overview") for method in methods]

    assert [answer.status_code for answer in answers] == [405] * len(methods)
    assert not [a for a in answers if "access-control-allow-origin" in a.headers]


PATHS = ["", *(f"/{name}" for name in ASSETS), "/overview", "/nothing"]


async def test_every_answer_forbids_what_a_browser_could_do_with_it(
    operator: httpx.AsyncClient,
) -> None:
    for path in PATHS:
        answer = await operator.get(f"/console{path}")
        head = await operator.head(f"/console{path}")

        parts = answer.headers["content-security-policy"].split(";")
        policy = dict(part.strip().split(" ", 1) for part in parts)
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert policy["require-trusted-types-for"] == "'script'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert (head.status_code, head.content) == (answer.status_code, b"")
        assert answer.is_success is (path != "/nothing")


async def test_without_a_token_there_is_no_console_and_the_rest_is_as_it_was(
    tmp_path: Any, simulator: Any
) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path}/payments.db"
    settings = environment(database, simulator.environment)
    async with running_service(settings) as service, operators_port(service) as client:
        answers = [
            (await client.request(method, path)).status_code
            for method, path in (
                ("GET", "/console"), ("GET", "/console/overview"),
                ("POST", "/console/session"), ("GET", "/livez"), ("GET", "/metrics"),
            )
        ]  # fmt: skip

    assert answers == [404, 404, 405, 200, 200]


async def test_with_a_token_probes_and_scrapes_need_none(console: Console) -> None:
    async with console.client() as client:
        answers = [
            (await client.get(path)).status_code for path in ("/livez", "/readyz", "/metrics")
        ]

    assert answers == [200, 200, 200]


def operators_port(service: Harness) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(service.service.ops(ALL_ROLES))
    return httpx.AsyncClient(transport=transport, base_url="http://ops")


def call_with(body: Any = None, *, cookie: str = "") -> Call:
    """Make a call as the page makes it, without a server."""
    headers = {
        "host": "ops", "origin": "http://ops", "content-type": "application/json", "cookie": cookie,
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    scope = {
        "method": "POST", "path": "/console/session", "client": ("192.0.2.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    return Call(scope, receive)
