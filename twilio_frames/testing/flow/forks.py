"""``<Start><Stream>`` and ``<Stop><Stream>``: servers that listen to a call."""

from typing import TYPE_CHECKING

from twilio_frames.testing.calls.alerts import Alert
from twilio_frames.testing.calls.connection import MAX_FORKED_TRACKS, StreamConnection
from twilio_frames.testing.verbs import StartStream

if TYPE_CHECKING:
    from twilio_frames.testing.calls.call import SimulatedCall

_REFUSED = 31900
"""Twilio's unknown error: it documents no code of its own for these two rules."""


def start_fork(call: "SimulatedCall", verb: StartStream) -> StreamConnection | None:
    """Has a server listen from here on; None if four tracks are in use, or the name is."""
    fork = StreamConnection(call, verb)
    used = sum(len(other.tracks) for other in call.forks)
    if used + len(fork.tracks) > MAX_FORKED_TRACKS:
        call.alert(
            Alert(
                code=_REFUSED,
                text=f"expected at most {MAX_FORKED_TRACKS} forked tracks on a call, got "
                f"{used + len(fork.tracks)}",
            )
        )
        return None
    if any(fork.name == other.name for other in call.forks):
        call.alert(
            Alert(code=_REFUSED, text="expected a stream name that the call has not got yet")
        )
        return None
    call.forks.append(fork)
    fork.task = call.run_aside(fork.run())
    fork.task.add_done_callback(lambda _: call.forks.remove(fork))
    return fork


def stop_fork(call: "SimulatedCall", name: str) -> bool:
    """Ends a server's listening, by the stream's name or sid; False if there is no such stream."""
    for fork in list(call.forks):
        if name in (fork.name, fork.sid) and fork.task is not None:
            fork.task.cancel()
            return True
    call.log.note("no_such_stream")
    return False
