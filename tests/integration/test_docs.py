"""The documentation is served whole, from nobody else, and every problem leads into it."""

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from generated.api.problems import PROBLEM_TYPES
from payment_service.api.answers import problem_base
from payment_service.api.docs import docs_routes
from tests.support.service import Harness

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ROOT = Path(__file__).parents[2]
ASSETS = files("payment_service.api") / "assets"
PATHS = sorted(route.path for route in docs_routes())
PAGES = ["/docs", "/docs/errors", "/docs/events"]


@pytest.mark.parametrize("path", PATHS)
async def test_it_is_served_to_anybody_under_a_strict_policy(service: Harness, path: str) -> None:
    response = await service.http.get(path)

    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("path", PATHS)
async def test_it_travels_once_and_compressed(service: Harness, path: str) -> None:
    plain = await service.http.get(path, headers={"accept-encoding": "identity"})
    zipped = await service.http.get(path, headers={"accept-encoding": "gzip"})

    again = await service.http.get(path, headers={"if-none-match": plain.headers["etag"]})

    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == plain.content  # httpx has unpacked it
    assert int(zipped.headers["content-length"]) < len(plain.content)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == plain.headers["etag"]
    assert again.headers["cache-control"] == "public, no-cache"


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_names_only_what_is_there(service: Harness, path: str) -> None:
    text = (await service.http.get(path)).text

    addresses = set(re.findall(r'(?:href|src|data-contract)="([^"]*)"', text))
    assert {address for address in addresses if address.startswith("/")} <= set(PATHS)
    anchors = {address[1:] for address in addresses if address.startswith("#")}
    assert anchors - set(re.findall(r'\bid="([^"]*)"', text)) == set()
    assert {address for address in addresses if address[0] not in "/#"} == set()
    # Nothing that the policy would have to be weakened for.
    assert re.findall(r"<style|<script>| style=| on[a-z]+=|javascript:", text) == []


async def test_every_problem_leads_to_the_section_of_its_code(service: Harness) -> None:
    refused = (await service.request("GET", "/v1/payments/pay_00000000000000000000000000")).json()
    page, _, anchor = refused["type"].partition("#")
    text = (await service.http.get(page)).text

    sections = set(re.findall(r'<section class="code" id="([A-Z_]+)">', text))

    assert anchor == refused["code"] == "NOT_FOUND"
    assert page == problem_base("http://payments.test")
    assert sections == set(PROBLEM_TYPES)


async def test_the_contract_on_the_page_is_the_contract(service: Harness) -> None:
    served = (await service.http.get("/docs/openapi.json")).json()

    source = hashlib.sha256((ROOT / "openapi.yaml").read_bytes()).hexdigest()
    assert served["x-source-sha256"] == source
    told = (await service.http.get("/docs/asyncapi.json")).json()
    assert told == json.loads((files("generated.docs") / "asyncapi.json").read_text())


@pytest.mark.parametrize(
    "path",
    ["/docs/", "/docs%0A", "/docs/nothing", "/docs/assets/../app.py", "/docs/assets/swagger-ui/"],
)
async def test_what_is_not_listed_is_not_there(service: Harness, path: str) -> None:
    response = await service.http.get(path)

    assert response.status_code == 404
    assert response.json()["code"] == "NOT_FOUND"


async def test_a_page_can_only_be_read(service: Harness) -> None:
    response = await service.request("POST", "/docs", {})

    assert response.status_code == 405
    assert response.json()["code"] == "METHOD_NOT_ALLOWED"
    assert (await service.http.head("/docs")).status_code == 200


async def test_what_comes_from_elsewhere_is_what_came_and_has_its_licence(
    service: Harness,
) -> None:
    folder = ASSETS / "swagger-ui"
    sums = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]
    kept = {file.name for file in folder.iterdir()} - {"README.md", "SHA256SUMS", ".gitattributes"}

    for digest, name in sums:
        served = await service.http.get(f"/docs/assets/swagger-ui/{name}")
        assert hashlib.sha256(served.content).hexdigest() == digest

    assert {name for _, name in sums} == {n for n in kept if n.endswith((".js", ".css"))}
    assert kept >= {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"}
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert re.search(r"swagger-ui-dist` \d+\.\d+\.\d+", (folder / "README.md").read_text())
