"""A vendor's connection that is kept up: when it is tried again, told about, replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.waiting import time_passes
from twilio_frames.services import RetryPolicy
from twilio_frames.services.connection_keeper import ConnectionKeeper, ConnectionOwner, Failure
from twilio_frames.services.vendor_socket import UNREACHABLE, VendorSocket


class Vendor:
    """Takes the first connection at once, and the second when it is let."""

    def __init__(self):
        self.connections: list[ServerConnection] = []
        self.asked = 0
        self.second_asked = asyncio.Event()
        self.second_let = asyncio.Event()
        self.second_status = HTTPStatus.OK
        self.opened = asyncio.Condition()

    async def handshake(self, connection: ServerConnection, _: Request) -> Response | None:
        self.asked += 1
        if self.asked == 2:
            self.second_asked.set()
            await self.second_let.wait()
            if self.second_status is not HTTPStatus.OK:
                return connection.respond(self.second_status, "")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        async with self.opened:
            self.opened.notify_all()
        async for message in connection:
            await connection.send(message)

    async def has_opened(self, count: int) -> None:
        async with self.opened:
            await self.opened.wait_for(lambda: len(self.connections) >= count)


class Owner(ConnectionOwner[VendorSocket]):
    """Notes what it is told."""

    def __init__(self):
        self.url = ""
        self.idle = True
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.told: list[str] = []
        self.opens: asyncio.Queue[None] = asyncio.Queue()

    @property
    def is_idle(self) -> bool:
        return self.idle

    async def dial(self) -> VendorSocket:
        return await VendorSocket.open(self.url, {}, open_secs=5.0)

    async def carry(self, connection: VendorSocket) -> None:
        async for message in connection:
            await self.on_message(message)

    async def on_message(self, message: str | bytes) -> None:
        self.messages.put_nowait(message)

    def failure_of(self, error: Exception) -> Failure | None:
        if not isinstance(error, UNREACHABLE):
            return None
        return Failure(text=type(error).__name__, is_final="403" in str(error))

    async def on_open(self) -> None:
        self.told.append("open")
        self.opens.put_nowait(None)

    async def on_lost(self, failure: Failure) -> None:
        self.told.append("lost")

    async def on_outage(self, failure: Failure) -> None:
        self.told.append("outage")


class FailingOwner(Owner):
    """Fails once at what it is told, having noted it."""

    def __init__(self, told: str):
        super().__init__()
        tell = getattr(self, told)

        async def fail(*args: str) -> None:
            setattr(self, told, tell)
            await tell(*args)
            raise ValueError("the caller's words")

        setattr(self, told, fail)


async def send(keeper: ConnectionKeeper[VendorSocket], message: str) -> bool:
    if keeper.connection is None:
        return False
    try:
        await keeper.connection.send(message)
    except UNREACHABLE:
        return False
    keeper.note_use()
    return True


@asynccontextmanager
async def kept(vendor: Vendor, owner: Owner) -> AsyncIterator[ConnectionKeeper[VendorSocket]]:
    """A connection that is being replaced, the vendor taking its time."""
    async with (
        asyncio.timeout(10),
        serve(vendor.serve, "127.0.0.1", 0, process_request=vendor.handshake) as server,
    ):
        port = next(iter(server.sockets)).getsockname()[1]
        owner.url = f"ws://127.0.0.1:{port}"
        policy = RetryPolicy(give_up_secs=5.0)
        keeper = ConnectionKeeper(owner, policy, name="a test's vendor", renew_secs=0.1)
        running = asyncio.create_task(keeper.run())
        try:
            await vendor.second_asked.wait()
            yield keeper
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            vendor.second_let.set()


async def test_slow_renewal_deafens_nobody():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner) as keeper:
        assert await send(keeper, "on the old one")
        assert await owner.messages.get() == "on the old one"
        assert not vendor.second_let.is_set()
        vendor.second_let.set()
        await vendor.connections[0].wait_closed()
        assert await send(keeper, "on the new one")
        assert await owner.messages.get() == "on the new one"

        assert len(vendor.connections) >= 2
        assert owner.told == ["open"]


async def test_busy_connection_is_not_replaced():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner) as keeper:
        owner.idle = False
        vendor.second_let.set()
        await vendor.has_opened(2)
        await vendor.connections[1].wait_closed()
        assert await send(keeper, "on the old one")
        assert await owner.messages.get() == "on the old one"

        assert owner.told == ["open"]


async def test_refused_renewal_keeps_the_old_one():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner) as keeper:
        vendor.second_status = HTTPStatus.SERVICE_UNAVAILABLE
        vendor.second_let.set()
        assert await send(keeper, "on the old one")
        assert await owner.messages.get() == "on the old one"

        assert owner.told == ["open"]


async def test_loss_ends_the_renewal():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner) as keeper:
        await owner.opens.get()
        vendor.connections[0].transport.abort()
        await owner.opens.get()
        assert await send(keeper, "on the next one")
        assert await owner.messages.get() == "on the next one"

        assert owner.told == ["open", "lost", "open"]


@pytest.mark.parametrize("told", ["on_open", "on_message", "on_lost"])
async def test_failing_owner_is_told_again(told: str):
    vendor, owner = Vendor(), FailingOwner(told)
    async with kept(vendor, owner) as keeper:
        vendor.second_let.set()
        assert await owner.opens.get() is None
        await send(keeper, "it fails")
        if told == "on_lost":
            keeper.break_off()
        await owner.opens.get()
        assert await send(keeper, "it is told")
        while await owner.messages.get() != "it is told":
            pass

        assert owner.told[:3] == ["open", "lost", "open"]


async def test_end_leaves_no_renewal_behind():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner):
        pass

    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "renew" not in names


class Stream:
    """A connection without a network."""

    async def close(self) -> None:
        pass

    def break_off(self) -> None:
        pass


class ScriptedOwner(ConnectionOwner[Stream]):
    """Fares with each connection as its script says, and notes when; at its end it is done."""

    def __init__(self, *script: Failure | Exception | str | None):
        self.script = list(script)
        self.dialed_at: list[float] = []
        self.told: list[str] = []
        self.done = asyncio.Event()
        self.keeper: ConnectionKeeper[Stream]

    async def dial(self) -> Stream:
        self.dialed_at.append(asyncio.get_running_loop().time())
        if not self.script:
            self.done.set()
            await asyncio.Event().wait()
        return Stream()

    async def carry(self, connection: Stream) -> Failure | None:
        match self.script.pop(0):
            case "proof":
                await self.keeper.prove()
                return None
            case "lasts":
                await time_passes(60)
                return Failure(text="lost")
            case Exception() as error:
                raise error
            case fate:
                assert not isinstance(fate, str)
                return fate

    def failure_of(self, error: Exception) -> Failure | None:
        return None

    async def on_outage(self, failure: Failure) -> None:
        self.told.append(f"outage: {failure}")

    async def on_recovery(self) -> None:
        self.told.append("recovery")


async def fare(*script: Failure | Exception | str | None, **policy: Any) -> ScriptedOwner:
    """Runs a keeper until the script is over, or the vendor has refused."""
    owner = ScriptedOwner(*script)
    owner.keeper = ConnectionKeeper(owner, RetryPolicy(**policy), name="a test's vendor")
    running = asyncio.create_task(owner.keeper.run())
    done = asyncio.create_task(owner.done.wait())
    await asyncio.wait({running, done}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, done):
        task.cancel()
    await asyncio.gather(running, done, return_exceptions=True)
    return owner


def pauses(owner: ScriptedOwner) -> list[float]:
    return [
        later - earlier
        for earlier, later in zip(owner.dialed_at, owner.dialed_at[1:], strict=False)
    ]


LOST = Failure(text="lost")


async def test_first_loss_costs_no_pause_and_further_ones_do():
    owner = await fare(*[LOST] * 4, first_pause_secs=0.5)
    first, *others = pauses(owner)
    assert first < 0.1
    for pause, most in zip(others, (0.5, 1.0, 2.0), strict=True):
        assert most / 2 <= pause <= most + 0.1
    assert not owner.told


async def test_outage_is_told_once_and_trying_goes_on_until_it_is_over():
    owner = await fare(*[LOST] * 9, "proof", LOST, give_up_secs=3.0)
    assert owner.told == ["outage: lost", "recovery"]


async def test_connection_that_lasts_was_well():
    owner = await fare(*["lasts"] * 9, give_up_secs=3.0)
    assert not owner.told


async def test_end_that_was_meant_is_no_trouble():
    owner = await fare(*[None] * 50, give_up_secs=0.0)
    assert not owner.told
    assert max(pauses(owner)) < 0.1


async def test_refusal_for_good_is_the_end():
    owner = await fare(Failure(text="refused", is_final=True), LOST)
    assert owner.told == ["outage: refused"]
    assert len(owner.dialed_at) == 1


async def test_some_failures_are_too_much_at_once():
    owner = await fare(Failure(text="deaf", is_outage=True), "proof")
    assert owner.told == ["outage: deaf", "recovery"]


async def test_vendors_wish_is_kept_up_to_a_limit():
    wishes = [Failure(text="busy", wish_secs=secs) for secs in (2.0, 99.0)]
    owner = await fare(*wishes, longest_wish_secs=4.0)
    short, long = pauses(owner)
    assert 2.0 <= short < 2.1
    assert 4.0 <= long < 4.4


async def test_what_is_noticed_late_is_given_up_in_time():
    """One more try it has, and no third that would be known too late."""
    late = Failure(text="hung", lag_secs=4.0)
    owner = await fare(late, late, late, give_up_secs=4.2)
    assert owner.told[0] == "outage: hung"


async def test_own_failure_is_told_by_its_type_alone():
    owner = await fare(*[RuntimeError("the caller's words")] * 9, give_up_secs=1.0)
    assert owner.told == ["outage: RuntimeError"]
