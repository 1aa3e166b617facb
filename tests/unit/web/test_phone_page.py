import asyncio
import contextlib

import pytest
from quart.typing import TestClientProtocol as Client

from otpbroker.modem.simulator import Phone
from otpbroker.modem.simulator.phone import Part
from otpbroker.sms.submit import decode_submit, encode_submit
from otpbroker.web.phone import BUBBLES, PHONES, STREAMS, _stream, create_phone_app

RECEIVER = "6281234567890"


def receive(phone: Phone, text: str, receiver: str = RECEIVER) -> None:
    for pdu in encode_submit(receiver, text, reference=0, life=300):
        submit = decode_submit(pdu)
        phone.receive("modem-1", Part(receiver, submit.user_data, 300.0, status_report=False))


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
def closing() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def client(phone: Phone, closing: asyncio.Event) -> Client:
    return create_phone_app(phone, closing).test_client()


async def page(client: Client) -> str:
    return (await (await client.get("/")).get_data()).decode()


async def test_an_empty_phone_says_what_to_do(client: Client) -> None:
    assert "No messages yet" in await page(client)


async def test_it_shows_each_recipients_messages_newest_first(client: Client, phone: Phone) -> None:
    receive(phone, "to another", "6281100000000")
    receive(phone, "the first")
    receive(phone, "the second")
    shown = await page(client)

    places = [shown.index(text) for text in (RECEIVER, "the second", "the first", "6281100000000", "to another")]
    assert places == sorted(places)
    assert 'data-revision="3"' in shown


async def test_a_message_that_came_twice_is_marked(client: Client, phone: Phone) -> None:
    for _ in range(2):
        receive(phone, "Kode 123456 " * 20)
    shown = await page(client)

    assert "came 2 times" in shown
    assert "2 parts" in shown


async def test_texts_are_never_markup(client: Client, phone: Phone) -> None:
    receive(phone, "<script>alert(1)</script> & \"'")
    shown = await page(client)

    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;&#39;" in shown


async def test_the_page_has_a_bound(client: Client, phone: Phone) -> None:
    for number in range(PHONES + 5):
        receive(phone, "Kode", f"62812{number:08d}")
    for number in range(BUBBLES + 5):
        receive(phone, f"Kode {number}")
    shown = await page(client)

    assert shown.count('class="phone"') == PHONES
    assert shown.count('class="bubble"') == BUBBLES + PHONES - 1


async def test_scripts_and_styles_are_files_of_its_own_alone(client: Client) -> None:
    response = await client.get("/")
    policy = response.headers["Content-Security-Policy"]
    shown = await page(client)

    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert "style=" not in shown
    assert "<style" not in shown
    assert "<script>" not in shown
    assert response.headers["Cache-Control"] == "no-store"


async def test_the_same_as_json(client: Client, phone: Phone) -> None:
    receive(phone, "Kode 123456")
    answer = await (await client.get("/messages.json")).get_json()

    assert answer["revision"] == 1
    assert answer["messages"][0]["text"] == "Kode 123456"
    assert answer["messages"][0]["receiver"] == RECEIVER


@pytest.mark.parametrize("host", ["127.0.0.1:8890", "localhost:8890", "[::1]:8890", "localhost"])
async def test_it_is_reached_by_address(client: Client, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8890", "127.0.0.1.evil.example", ""])
@pytest.mark.parametrize("path", ["/", "/messages.json", "/events"])
async def test_a_strangers_name_is_refused(client: Client, host: str, path: str) -> None:
    assert (await client.get(path, headers={"Host": host})).status_code == 421


async def test_the_stream_tells_of_news_and_ends_when_the_server_closes(
    phone: Phone, closing: asyncio.Event
) -> None:
    stream = _stream(phone, closing, set())
    assert await anext(stream) == "retry: 1000\n\n"
    assert await anext(stream) == "event: revision\ndata: 0\n\n"
    receive(phone, "Kode 123456")
    assert await anext(stream) == "event: revision\ndata: 1\n\n"
    closing.set()

    async with asyncio.timeout(5):
        assert [event async for event in stream] == []


async def test_a_flood_of_messages_is_one_event(phone: Phone, closing: asyncio.Event) -> None:
    stream = _stream(phone, closing, set())
    for number in range(100):
        receive(phone, f"Kode {number}")
    await anext(stream)

    assert await anext(stream) == "event: revision\ndata: 100\n\n"
    await stream.aclose()


async def test_no_more_streams_are_open_than_it_can_serve(client: Client, closing: asyncio.Event) -> None:
    async with asyncio.timeout(10), contextlib.AsyncExitStack() as stack:
        for _ in range(STREAMS):
            connection = await stack.enter_async_context(client.request("/events"))
            await connection.send_complete()
            await connection.receive()

        assert (await client.get("/events")).status_code == 503
        assert (await client.get("/")).status_code == 200
        closing.set()
