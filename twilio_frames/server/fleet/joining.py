"""How a server comes into its fleet, stays in it, and leaves.

Whatever runs the application (``serve``, gunicorn, ``web.run_app``), it has a door of its own for
the other workers: they pass webhooks on to it, and those of its machine hand connections over.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from loguru import logger

from twilio_frames.fleet.register import Lease
from twilio_frames.server.fleet.handover import Handovers
from twilio_frames.server.fleet.rescuing import rescue_calls_of
from twilio_frames.server.state import STATE, ServerState

__all__ = ["fleet_figures", "member", "own_lease"]

_RENEWALS = 4
"""How often a lease is renewed before it would run out: three may fail."""
_GATHER_SECS = 0.1
"""How soon the others hear of a call that began here, should this worker be gone in a moment."""
_LEAVE_SECS = 2.0


async def member(
    app: web.Application, make_door: Callable[[], web.Application]
) -> AsyncIterator[None]:
    """Has a server be one of its fleet while it runs.

    Args:
        app: The server's application.
        make_door: Makes one with the same routes and the same state, for the other workers.
    """
    state = app[STATE]
    if state.fleet.is_alone and state.is_served_here:
        yield
        return
    runner = web.AppRunner(make_door(), handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    handovers = Handovers(_server_of(runner))
    try:
        handovers.start()
        state.fleet.handover = handovers.path
        async with contextlib.AsyncExitStack() as stack:
            if not state.fleet.is_alone:
                await stack.enter_async_context(_leased(state, runner))
            yield
    finally:
        handovers.close()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _leased(state: ServerState, runner: web.AppRunner) -> AsyncIterator[None]:
    """Has the other workers know of this one."""
    renewing: asyncio.Task[None] | None = None
    try:
        if not state.fleet.address:
            await _listen(runner, state)
        state.lag.start()
        await _renew(state)
        renewing = asyncio.create_task(_keep_lease(state), name="lease")
        logger.info(f"worker {state.fleet.name} is one of {len(state.fleet.others) + 1}")
        yield
    finally:
        if renewing is not None:
            renewing.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECS):
                await state.fleet.leave()
        await state.workers.close()


def _server_of(runner: web.AppRunner) -> web.Server:
    assert runner.server is not None  # noqa: S101 - setup() made it
    return runner.server


async def _listen(runner: web.AppRunner, state: ServerState) -> None:
    """Listens for the other workers of this machine."""
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    state.fleet.address = f"http://127.0.0.1:{runner.addresses[0][1]}"


async def own_lease(state: ServerState, lag_secs: float = 0.0) -> Lease:
    """How this worker is."""
    fleet, latest = state.fleet, state.records.latest()
    coming = await fleet.reserved()
    return Lease(
        name=fleet.name,
        address=fleet.address,
        handover=fleet.handover,
        calls=state.lines_held + coming,
        beginning=state.switchboard.beginning + coming + fleet.taking,
        call_sids=tuple(record.call_sid for record in latest if record.call is not None),
        base_url=next((record.base_url for record in latest if record.base_url), ""),
        most_calls=state.settings.max_calls,
        lag_secs=round(lag_secs, 3),
        is_draining=state.switchboard.draining,
        waiting=len(state.waiting),
    )


async def fleet_figures(state: ServerState) -> dict[str, int] | None:
    """How much all workers have to do, in numbers; None while the register cannot say."""
    fleet = state.fleet
    living = [await own_lease(state)] if fleet.is_alone else await fleet.living()
    if living is None:
        return None
    calls, waiting = sum(one.calls for one in living), sum(one.waiting for one in living)
    return {
        "calls": calls,
        "waiting": waiting,
        "demand": calls + waiting,
        "most_calls": sum(one.most_calls for one in living if not one.is_draining),
        "workers": len(living),
        "draining": sum(one.is_draining for one in living),
    }


async def _renew_lease(state: ServerState) -> None:
    """Says that this worker lives and which calls it has, and sees to those of who does not."""
    before = state.fleet.others
    try:
        await _renew(state)
    except Exception as error:
        # Whatever it is, the lease has to be renewed the next time.
        logger.error(f"the lease was not renewed: {type(error).__name__}")
    known = {lease.name for lease in state.fleet.others}
    for gone in (lease for lease in before if lease.name not in known):
        rescue = asyncio.create_task(rescue_calls_of(state, gone), name="rescue")
        state.rescues.add(rescue)
        rescue.add_done_callback(state.rescues.discard)


async def _renew(state: ServerState) -> None:
    state.fleet.lag_secs = state.lag.p95_secs
    lost = await state.fleet.renew(await own_lease(state, state.fleet.lag_secs))
    for call_sid in lost:
        record = state.records.get(call_sid)
        if record is not None and record.call is not None and record.call.end_reason is None:
            logger.bind(call_sid=call_sid).warning(f"{call_sid}: another worker has it now")
            await record.call.leave()


async def _keep_lease(state: ServerState) -> None:
    every, news = state.settings.fleet.lease_secs / _RENEWALS, state.fleet.news
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await news.wait()
                # Of many calls that begin at once it tells together.
                await asyncio.sleep(_GATHER_SECS)
        news.clear()
        await _renew_lease(state)
