"""``<Enqueue>``: a call waits for another.

Source: https://www.twilio.com/docs/voice/twiml/enqueue
"""

import asyncio
from collections.abc import Awaitable, Callable

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.facts import CallEnd
from twilio_frames.testing.calls.instructions import Fetch, Outcome
from twilio_frames.testing.calls.queues import MAX_WAITING, CallQueue, QueuedCall
from twilio_frames.testing.flow.dialing import sit
from twilio_frames.testing.lines.waiting_sounds import hold_music
from twilio_frames.testing.verbs import Enqueue

Hold = Callable[[Fetch], Awaitable[CallEnd | Outcome]]
"""Plays a document to the caller; gives what ended the call, or how the document ended."""


async def enqueue(call: SimulatedCall, verb: Enqueue, hold: Hold) -> Fetch | CallEnd | None:
    """Carries it out; gives its ``action``, if it has one."""
    queue = call.exchange.queue(verb.queue)
    call.ready.set()
    if queue.size >= MAX_WAITING:
        return _action(verb, queue, "queue-full", 0.0)
    queued = await queue.enter(call.sid)
    call.log.note("enqueued", size=queue.size)
    try:
        return await _stay(call, verb, queue, queued, hold)
    finally:
        queue.leave(queued)
        if queued.taken.done():
            # Whoever has taken it must not wait for a call that has gone.
            queued.taken.result().close()


async def _stay(
    call: SimulatedCall, verb: Enqueue, queue: CallQueue, queued: QueuedCall, hold: Hold
) -> Fetch | CallEnd | None:
    waiting = asyncio.create_task(_wait(call, verb, queue, queued, hold))
    try:
        await asyncio.wait({waiting, queued.taken}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    seconds = asyncio.get_running_loop().time() - queued.since
    if not queued.taken.done():
        ended = waiting.result()
        return ended if ended is not None else _action(verb, queue, "leave", seconds)
    call.log.note("dequeued")
    await sit(call, queued.taken.result())
    return _action(verb, queue, "bridged", seconds)


async def _wait(
    call: SimulatedCall, verb: Enqueue, queue: CallQueue, queued: QueuedCall, hold: Hold
) -> CallEnd | None:
    """Plays the ``waitUrl`` round and round; gives an end of the call, or None for ``<Leave>``."""
    if not verb.wait_url:
        call.line.listen_to(hold_music())
        await asyncio.Event().wait()
    loop = asyncio.get_running_loop()
    while True:
        told = {
            "QueueSid": queue.sid,
            "CurrentQueueSize": str(queue.size),
            "QueueTime": str(round(loop.time() - queued.since)),
        }
        held = await hold(Fetch(url=verb.wait_url, method=verb.wait_url_method, parameters=told))
        if isinstance(held, CallEnd):
            return held
        if held is Outcome.LEFT:
            return None
        # An empty `waitUrl` must not spin.
        await asyncio.sleep(1.0)


def _action(verb: Enqueue, queue: CallQueue, result: str, seconds: float) -> Fetch | None:
    if not verb.action:
        return None
    told = {"QueueResult": result, "QueueSid": queue.sid, "QueueTime": str(round(seconds))}
    return Fetch(url=verb.action, method=verb.method, parameters=told)
