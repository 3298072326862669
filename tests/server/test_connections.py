"""Connections that ask nothing cost the line nothing."""

import asyncio
import contextlib
import errno
import re
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.server.site import RecordingBot
from tests.vendors.faults import bad_day
from twilio_frames.errors import ConfigurationError
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.server.connections import Connections, Listener, most_connections
from twilio_frames.server.refusals import Refusals, shown
from twilio_frames.transport import TwilioParams

HALF_A_HEADER = b"POST /twiml HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HALF_A_BODY = (
    HALF_A_HEADER + b"Content-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 1000\r\n\r\nCallSid=CA1"
)


def server_with(**changes: object) -> Server:
    settings = ServerSettings(warm=False, **changes)  # pyright: ignore[reportArgumentType]
    return Server(create_app(RecordingBot(), settings))


class Strangers:
    """Opens connections by hand, and closes them behind the test."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, server: Server, sent: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        self._writers.append(writer)
        writer.write(sent)
        return reader

    async def leave(self) -> None:
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def strangers() -> AsyncIterator[Strangers]:
    opened = Strangers()
    yield opened
    await opened.leave()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the server ends the connection, whatever it answers before."""
    try:
        async with asyncio.timeout(10):
            await reader.read()
    except ConnectionResetError:
        pass
    return True


async def status(server: Server, path: str = "/healthz") -> int:
    async with aiohttp.request("GET", server.url + path) as answer:
        return answer.status


@pytest.mark.parametrize("sent", [b"", b"G", HALF_A_HEADER, b"\x16\x03\x01\x02"])
async def test_connection_without_a_request_is_closed(sent: bytes, strangers: Strangers):
    async with server_with(request_secs=0.1) as server:
        assert await is_closed(await strangers.open(server, sent))


async def test_body_that_stays_out_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, strangers: Strangers
):
    monkeypatch.setattr("twilio_frames.server.incoming._BODY_SECS", 0.1)
    async with server_with(keep_alive_secs=0.2) as server:
        reader = await strangers.open(server, HALF_A_BODY)

        assert b"408" in await reader.readline()
        assert await is_closed(reader)


async def test_connection_is_kept_between_requests_for_a_time(strangers: Strangers):
    async with server_with(request_secs=0.1, keep_alive_secs=0.3) as server:
        reader = await strangers.open(server, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

        assert b"200" in await reader.readline()
        assert await is_closed(reader)


async def test_upgrade_without_a_stream_is_closed():
    params = TwilioParams(start_timeout_secs=0.1)
    async with server_with(transport=params) as server:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{server.url}/stream") as websocket:
                await websocket.send_json({"event": "stop"})

                assert (await websocket.receive(10)).type is aiohttp.WSMsgType.CLOSE


@bad_day(
    "server",
    "hundreds of connections that ask nothing",
    "Nothing: webhooks are answered.",
)
async def test_idle_connections_make_room_for_requests(log_lines: list[str], strangers: Strangers):
    async with server_with(max_calls=2, max_connections=20) as server:
        idle = [await strangers.open(server) for _ in range(60)]

        assert await status(server) == 200
        assert all([await is_closed(each) for each in idle[:40]])
        assert not idle[-1].at_eof()
    told = [line for line in log_lines if "as many as there may be" in line]
    assert len(told) == 2  # the 1st and the 10th


@bad_day(
    "server",
    "connections that ask nothing, beside a call",
    "Nothing: the call goes on.",
)
async def test_call_is_not_closed_for_idle_connections(strangers: Strangers):
    async with server_with(max_calls=2, max_connections=5) as server:
        async with aiohttp.ClientSession() as session:
            websocket = await session.ws_connect(f"{server.url}/stream")
            for _ in range(20):
                await strangers.open(server)
            await websocket.ping()

            assert await status(server) == 200
            assert not websocket.closed
            await websocket.close()


async def test_requests_alone_fill_the_table_to_its_bound():
    async with server_with(max_calls=1, max_connections=3) as server:
        async with aiohttp.ClientSession() as session:
            carried = [await session.ws_connect(f"{server.url}/stream") for _ in range(3)]
            with pytest.raises(aiohttp.ClientConnectionError):
                await status(server)
            await carried.pop().close()

            assert await status(server) == 200


@bad_day(
    "server",
    "the process has no descriptor left",
    "Nothing, once there is one; two lines of log.",
)
async def test_want_of_descriptors_costs_a_line(
    log_lines: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Listener, "_PAUSE_SECS", 0.001)
    loop = asyncio.get_running_loop()
    accept, left = loop.sock_accept, [None] * 50

    async def has_none(listening: socket.socket):
        if left:
            left.pop()
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", has_none)
    async with server_with() as server:
        assert await status(server) == 200
    told = [line for line in log_lines if "no descriptor left" in line]
    assert len(told) == 2  # the 1st and the 10th
    assert "ulimit -n" in told[0]


async def test_want_of_descriptors_closes_an_idle_connection(
    monkeypatch: pytest.MonkeyPatch, strangers: Strangers
):
    loop = asyncio.get_running_loop()
    accept, failing = loop.sock_accept, [False]

    async def fails(listening: socket.socket):
        accepted = await accept(listening)
        if failing.pop():
            accepted[0].close()
            failing.append(False)
            raise OSError(errno.EMFILE, "Too many open files")
        failing.append(False)
        return accepted

    monkeypatch.setattr(loop, "sock_accept", fails)
    async with server_with() as server:
        idle = await strangers.open(server)
        assert await status(server) == 200
        failing[:] = [True]
        await strangers.open(server)

        assert await is_closed(idle)


@bad_day(
    "server",
    "requests that are no HTTP, again and again",
    "Nothing; few and short lines of log.",
)
@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /\x1b[31m HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["long header", "control character", "long path", "TLS", "bad length"],
)
async def test_what_is_no_http_costs_few_lines(
    sent: bytes, log_lines: list[str], capfd, strangers: Strangers
):
    async with server_with() as server:
        for _ in range(12):
            assert await is_closed(await strangers.open(server, sent))
        assert await status(server) == 200
    told = [line for line in log_lines if "no HTTP" in line]
    # The 1st and the 10th; what speaks TLS to a port without it is no news at all.
    assert len(told) == (0 if sent.startswith(b"\x16") else 2)
    assert max(map(len, told), default=0) < 300
    assert "Traceback" not in capfd.readouterr().err
    assert "\x1b[31m" not in "".join(log_lines)


async def test_request_this_side_fails_at_is_told_without_its_text(
    log_lines: list[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError("somebody's number is +14155550123")

    app = create_app(RecordingBot(), ServerSettings(warm=False))
    monkeypatch.setattr("twilio_frames.server.console.pages.needs_key", fail)
    async with Server(app) as server:
        for _ in range(12):
            assert await status(server, "/") == 500
    told = [line for line in log_lines if "a request failed" in line]
    assert len(told) == 2
    assert "RuntimeError" in told[0]
    assert "4155550123" not in "".join(log_lines)


async def test_port_that_cannot_be_is_named():
    for port in (99999, -1):
        with pytest.raises(ConfigurationError, match=f"listen on 127.0.0.1:{port}, got "):
            await Server(create_app(RecordingBot(), ServerSettings()), port=port).__aenter__()


async def test_name_of_two_addresses_has_one_port(monkeypatch: pytest.MonkeyPatch):
    async def both(*_: object, **__: object):
        addresses = [("127.0.0.1", 0), ("127.0.0.2", 0)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in addresses]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", both)
    async with Server(create_app(RecordingBot(), ServerSettings()), host="localhost") as server:
        assert server.url.startswith("http://localhost:")
        monkeypatch.undo()
        for host in ("127.0.0.1", "127.0.0.2"):
            _, writer = await asyncio.open_connection(host, server.port)
            writer.close()
            await writer.wait_closed()


class _Idle:
    """A transport that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


async def test_oldest_idle_connection_goes_first():
    refusals = Refusals()
    connections = Connections(most=3, request_secs=10, keep_alive_secs=10, refusals=refusals)
    transports = [_Idle() for _ in range(3)]
    for number, transport in enumerate(transports):
        connections.add(number, transport)  # pyright: ignore[reportArgumentType]
    with connections.busy(0):
        assert connections.make_room()
        assert [each.closed for each in transports] == [False, True, False]
    assert connections.make_room()
    assert connections.close_oldest()
    assert connections.close_oldest()

    assert [each.closed for each in transports] == [True, True, True]
    assert not connections.close_oldest()
    connections.close()


def test_bound_follows_the_systems():
    assert 16 <= most_connections() <= 4096


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_connections": 100}, "above max_calls"),
        ({"request_secs": 0}, "request_secs"),
        ({"keep_alive_secs": -1}, "keep_alive_secs"),
    ],
)
def test_bounds_that_cannot_work_are_refused(changes: dict[str, float], told: str):
    with pytest.raises(ConfigurationError, match=told):
        ServerSettings(**changes)  # pyright: ignore[reportArgumentType]


def test_what_came_differently_is_told_up_to_a_bound(log_lines: list[str]):
    refusals = Refusals(clock=lambda: 0.0)
    for number in range(1000):
        refusals.note("a path", "advice", came=shown(f"/{number}"))

    assert len(log_lines) == 22  # the first 20, and the 100th and the 1,000th


def test_kinds_are_bounded(log_lines: list[str]):
    refusals = Refusals(clock=lambda: 0.0)
    for number in range(1000):
        refusals.note(f"kind {number}", "advice")

    assert len(log_lines) < 110


def test_minute_of_silence_is_broken(log_lines: list[str]):
    now = [0.0]
    refusals = Refusals(clock=lambda: now[0])
    for second in range(180):
        now[0] = float(second)
        refusals.note("a kind", "advice")

    counts = [int(re.findall(r"\((\d+) so far", line)[0]) for line in log_lines]
    assert counts == [1, 10, 70, 100, 160]


def test_shown_text_is_short_and_harmless():
    assert shown("/a\x1b[31m\n\u202e") == r"'/a\x1b[31m\n\u202e'"
    assert len(shown("x" * 10_000)) == 82
