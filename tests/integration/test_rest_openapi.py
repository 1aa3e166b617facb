"""The OpenAPI document is true: schemathesis derives requests from it and checks every response against it."""

import asyncio
import itertools
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from rest_server import ScriptedCore, ScriptedFeeders, authorization, client, configuration, serving
from schemathesis import GenerationMode

from bench.rig import PASSWORD, USER, Installation, modems
from otpbroker.clock import Clock
from otpbroker.web.access import Access
from otpbroker.web.api import create_api_app
from otpbroker.web.hashing import HashingThread

EXAMPLES = 30
OPERATIONS = (
    "POST /messages",
    "GET /messages/{id}",
    "POST /otp",
    "POST /otp/{reference}/verify",
    "GET /blocklist",
    "GET /blocklist/{receiver}",
    "PUT /blocklist/{receiver}",
    "DELETE /blocklist/{receiver}",
    "GET /inbox",
    "GET /inbox/{id}",
    "DELETE /inbox/{id}",
    "POST /inbox/{id}/reply",
    "GET /modems",
    "GET /feeders",
    "POST /feeders/{id}",
    "GET /modems/{modem_id}",
    "GET /modems/{modem_id}/history",
    "POST /ussd",
    "POST /ussd/{modem_id}/reply",
    "DELETE /ussd/{modem_id}",
    "GET /ping",
)
# The device limits wrong credentials, which this check sends with every request.
RATE_LIMITED = schemathesis.checks.ignored_auth
# A receiver's digits are judged by the rules of its country, which a schema cannot say.
NOT_OURS = [schemathesis.checks.positive_data_acceptance]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A server in a thread of its own, since schemathesis is not asynchronous."""
    started: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    end = asyncio.Event()

    # It tries wrong credentials with every request: a minute passes between any two looks at the clock.
    clock = itertools.count(0, 60).__next__
    access = Access(lambda: configuration().api.users, HashingThread(), clock)

    async def serve() -> None:
        async with serving(ScriptedCore(), access=access) as bound:
            started.append(bound.url)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield started[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def agent_url() -> Iterator[str]:
    """A whole agent with two simulated modems, in processes of their own."""
    folder = Path(tempfile.mkdtemp(prefix="otpbroker-test-", dir="/dev/shm"))  # RAM is the point

    async def run(ready: Future[str], end: asyncio.Event) -> None:
        async with modems(folder / "simulated", 2, air=0.0) as simulated:
            installation = Installation(
                folder / "agent", simulated.ports, rights=("inbox", "ussd"), sms={"receiver_limit": 0}
            )
            try:
                agent = await installation.start()
                ready.set_result(f"http://127.0.0.1:{agent.port}")
                await end.wait()
            finally:
                await installation.stop()

    with ThreadPoolExecutor(1) as thread:
        ready, loop = Future[str](), asyncio.new_event_loop()
        end = asyncio.Event()
        running = thread.submit(loop.run_until_complete, run(ready, end))
        yield ready.result(30)
        loop.call_soon_threadsafe(end.set)
        running.result(30)
        loop.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def api_schema(base_url: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{base_url}/api/v1/openapi.json")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_response_is_described(api_schema: schemathesis.BaseSchema, operation: str) -> None:
    converse(api_schema, operation, authorization(), NOT_OURS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_response_of_a_whole_agent_is_described(agent_url: str, operation: str) -> None:
    schema = schemathesis.openapi.from_url(f"{agent_url}/api/v1/openapi.json")
    converse(schema, operation, authorization(USER, PASSWORD), [*NOT_OURS, RATE_LIMITED])


def converse(schema: schemathesis.BaseSchema, operation: str, credentials: str, excluded: list[Any]) -> None:
    method, path = operation.split()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(schema[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def well_formed(case: schemathesis.Case) -> None:
        response = case.call_and_validate(headers={"Authorization": credentials}, excluded_checks=excluded)
        assert response.status_code < 500

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(schema[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def malformed(case: schemathesis.Case) -> None:
        response = case.call_and_validate(headers={"Authorization": credentials}, excluded_checks=excluded)
        assert response.status_code < 500

    well_formed()
    if method == "POST":
        malformed()


async def test_the_document_needs_no_credentials_and_describes_every_route() -> None:
    async with client(ScriptedCore()) as http:
        document = (await http.get("/api/v1/openapi.json", auth=None)).json()

    core = ScriptedCore()
    app = create_api_app(
        config=configuration,
        core=core,
        inbox=core.inbox,
        past=core,
        control=ScriptedFeeders(),
        access=Access(lambda: (), HashingThread()),
        clock=Clock(),
    )
    served = {
        f"{method} {re.sub('<(message_|feeder_)id>', '{id}', rule.rule).replace('<', '{').replace('>', '}')}"
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1") and "openapi" not in rule.rule
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        f"{method.upper()} /api/v1{path}" for path, methods in document["paths"].items() for method in methods
    }
    assert document["openapi"].startswith("3.1")
    assert described == served == {operation.replace(" ", " /api/v1") for operation in OPERATIONS}


def test_no_operation_can_be_called_without_credentials(base_url: str) -> None:
    document = httpx2.get(f"{base_url}/api/v1/openapi.json").json()
    assert document["security"] == [{"basic": []}]
    assert document["components"]["securitySchemes"] == {"basic": {"type": "http", "scheme": "basic"}}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            filled = path.replace("{id}", "q1").replace("{reference}", "r1").replace("{receiver}", "0812")
            status = httpx2.request(method, f"{base_url}/api/v1{filled}").status_code
            assert status == (200 if operation.get("security") == [] else 401), (method, path)
