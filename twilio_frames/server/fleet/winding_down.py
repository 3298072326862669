"""How a server stops without ending a call: what does not end by itself, others go on with."""

import asyncio

from loguru import logger

from twilio_frames.call import Call
from twilio_frames.server.fleet.joining import own_lease
from twilio_frames.server.state import ServerState

__all__ = ["can_hand_over", "wind_down"]

_AGAIN_SECS = 0.5
_SENTENCE_SECS = 5.0
"""How long nearly all callers take to a pause, or bots to the end of a sentence."""
_SET_UP_SECS = 0.5
"""For how long a call keeps a worker busier when it is taken, beside many that are up."""
_LATENESS = 10.0
"""So many times as long as its event loop is late, p95, it has no time for another one."""
_MARGIN_SECS = 1.0
"""For the other worker's answer to Twilio, which this one may have to pass on."""


def can_hand_over(state: ServerState) -> bool:
    """Whether there is somebody who would go on with this server's calls."""
    fleet = state.fleet
    return state.settings.fleet.does_resume and any(not lease.is_draining for lease in fleet.others)


async def wind_down(state: ServerState, seconds: float) -> int:
    """Takes no new calls, lets those that are up end, and hands over what is left; gives the rest.

    Args:
        state: The server's.
        seconds: How long that may take.
    """
    board = state.switchboard
    board.draining = True
    if state.fleet.is_alone:
        return await board.drain(seconds)
    await state.fleet.renew(await own_lease(state, state.fleet.lag_secs))
    reserve = min(seconds, state.settings.fleet.hand_over_secs)
    if not await board.drain(seconds - reserve):
        return 0
    if not can_hand_over(state):
        return await board.drain(reserve)
    logger.info(f"{len(board)} calls are handed over")
    loop = asyncio.get_running_loop()
    until = loop.time() + max(0.0, reserve - 2 * _MARGIN_SECS)
    while True:
        await _hand_all_over(state, until)
        await asyncio.sleep(2 * _MARGIN_SECS)
        # Twilio may have been told of this worker just before, and come only now.
        left = len(_calls(state))
        if not left or loop.time() >= until:
            return left


async def _hand_all_over(state: ServerState, until: float) -> None:
    """Hands calls over one after another, each between two sentences if one ends in time.

    Whoever takes them has each to set up beside those that it carries.
    """
    loop = asyncio.get_running_loop()
    calls, within_secs = _calls(state), until - loop.time()
    # The last one is to have time for a sentence as well, if there is any.
    all_begun = until - min(_SENTENCE_SECS, within_secs / 2)
    async with asyncio.TaskGroup() as handing_over:
        for left, call in zip(range(len(calls), 0, -1), calls, strict=True):
            pause = max(0.0, min(_pause_secs(state), (all_begun - loop.time()) / left))
            handing_over.create_task(_hand_over(call, until - (left - 1) * pause, until))
            await asyncio.sleep(pause)


def _pause_secs(state: ServerState) -> float:
    """How long those who take calls are busy with one, by how many they are and how late."""
    lags = [lease.lag_secs for lease in state.fleet.others if not lease.is_draining]
    return (_SET_UP_SECS + _LATENESS * min(lags, default=0.0)) / max(1, len(lags))


def _calls(state: ServerState) -> list[Call]:
    """Those that are up."""
    calls = [record.call for record in state.records.latest()]
    return [call for call in calls if call is not None and call.end_reason is None]


async def _hand_over(call: Call, by: float, until: float) -> None:
    """Hands a call over, between two sentences if one ends by then; tries until later."""
    loop = asyncio.get_running_loop()
    try:
        # The register may be gone for a while: then the call stays.
        while call.end_reason is None:
            has_left = await call.hand_over(max(0.0, by - loop.time()))
            if has_left or loop.time() >= until:
                return
            await asyncio.sleep(_AGAIN_SECS)
    except Exception as error:
        # Whatever one call raises, the others are handed over.
        logger.error(f"{call.call_sid}: it was not handed over: {type(error).__name__}")
