"""How a server stops without ending a call: what does not end by itself, others go on with."""

import asyncio

from loguru import logger

from twilio_frames.call import Call
from twilio_frames.server.fleet.joining import own_lease
from twilio_frames.server.state import ServerState

__all__ = ["can_hand_over", "wind_down"]

_AGAIN_SECS = 0.5
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
    async with asyncio.TaskGroup() as handing_over:
        for call in _calls(state):
            handing_over.create_task(_hand_over(call, max(0.0, reserve - 2 * _MARGIN_SECS)))
    await asyncio.sleep(2 * _MARGIN_SECS)
    return sum(call.end_reason is None for call in _calls(state))


def _calls(state: ServerState) -> list[Call]:
    return [record.call for record in state.records.latest() if record.call is not None]


async def _hand_over(call: Call, within_secs: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + within_secs
    try:
        # The register may be gone for a while: then the call stays.
        while not await call.hand_over(max(0.0, until - loop.time())):
            if call.end_reason is not None or loop.time() >= until:
                return
            await asyncio.sleep(_AGAIN_SECS)
    except Exception as error:
        # Whatever one call raises, the others are handed over.
        logger.error(f"{call.call_sid}: it was not handed over: {type(error).__name__}")
