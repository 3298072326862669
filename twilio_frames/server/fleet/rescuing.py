"""Fetches callers back from lines that are dead without Twilio's knowing.

A machine that loses power, a process that stands still or a network that is parted says no
goodbye: to Twilio the stream is up, and the caller would wait on it in silence. Whoever notices
asks Twilio's REST API to leave the stream for the webhook that says what comes behind it. There
the call goes on as after any loss, or is apologised for.

The call's next stream may come up while that request is on its way. Then it is this one that
Twilio leaves, and says ``stop`` as for a caller who hangs up. But whoever has hung up is not led to
a webhook: where Twilio asks the one that it was sent to, and says that the call is in progress, it
goes on.
"""

import asyncio

from loguru import logger

from twilio_frames.call import Call
from twilio_frames.errors import RestError
from twilio_frames.fleet.register import Lease
from twilio_frames.server.calls.records import CallRecord
from twilio_frames.server.fleet.passing import FETCHED
from twilio_frames.server.state import ServerState

__all__ = ["rescue_calls_of", "rescue_if_dead"]

_ON_ITS_WAY_SECS = 5.0
"""For a stream that Twilio was told of: it takes 0.4 s, or 2 where a machine has too much to do."""


async def rescue_if_dead(state: ServerState, call: Call, record: CallRecord) -> None:
    """Fetches one of this worker's own calls back, if its line turns out to be dead."""
    await call.line_ended()
    if not call.transport.is_dead:
        return
    standing = await state.fleet.standing(call.call_sid)
    is_elsewhere = standing is not None and standing.owner != state.fleet.name
    if not (record.asked or record.is_over or is_elsewhere):
        await _rescue(state, call.call_sid, record.base_url)


async def rescue_calls_of(state: ServerState, lost: Lease) -> None:
    """Fetches the calls back of a worker that has not renewed its lease, if it is silent as well.

    One that cannot reach the register, or is late, carries its calls all the same; and that one was
    killed Twilio knows by itself. Of several that notice, the first by name sees to it.
    """
    names = [state.fleet.name, *(lease.name for lease in state.fleet.others)]
    if not lost.call_sids or state.fleet.name != min(names):
        return
    if not await state.workers.is_silent(lost):
        return
    if any(lease.name == lost.name for lease in state.fleet.others):
        return
    await asyncio.gather(*(_rescue_call_of(state, call_sid, lost) for call_sid in lost.call_sids))


async def _rescue_call_of(state: ServerState, call_sid: str, lost: Lease) -> None:
    standing = await state.fleet.standing(call_sid)
    if standing is not None and standing.named not in ("", lost.name):
        # Twilio was told of another worker's stream: to leave that would end the call.
        await asyncio.sleep(_ON_ITS_WAY_SECS)
        standing = await state.fleet.standing(call_sid)
    if standing is not None and standing.owner == lost.name and not standing.ended:
        await _rescue(state, call_sid, lost.base_url)


async def _rescue(state: ServerState, call_sid: str, base_url: str | None) -> None:
    if state.rest is None or not base_url:
        return
    log = logger.bind(call_sid=call_sid)
    try:
        url = f"{state.fleet.named(base_url)}/after-stream?{FETCHED}=1"
        await state.rest.update(call_sid, url=url)
        log.warning(f"{call_sid}: its line is dead, and Twilio was asked to leave it")
    except RestError as error:
        log.info(f"{call_sid}: its line is dead, and Twilio did not leave it: {error}")
