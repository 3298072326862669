"""``<Start><Stream>`` and ``<Stop><Stream>``: servers that listen to a call."""

from twilio_frames.testing.calls.call import Fork, SimulatedCall
from twilio_frames.testing.calls.connection import MAX_FORKED_TRACKS, StreamConnection
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.verbs import StartStream

_REFUSED = 31900
"""Twilio's unknown error: it documents no code of its own for these two rules."""


def start_fork(call: SimulatedCall, verb: StartStream) -> Fork | None:
    """Has a server listen from here on; None if four tracks are in use, or the name is."""
    stream = StreamConnection(call, verb)
    used = sum(len(other.tracks) for other in call.forks)
    if used + len(stream.tracks) > MAX_FORKED_TRACKS:
        call.alert(
            Alert(
                code=_REFUSED,
                text=f"expected at most {MAX_FORKED_TRACKS} forked tracks on a call, got "
                f"{used + len(stream.tracks)}",
            )
        )
        return None
    if any(stream.name == other.name for other in call.forks):
        call.alert(
            Alert(code=_REFUSED, text="expected a stream name that the call has not got yet")
        )
        return None
    task = call.run_aside(stream.run())
    fork = Fork(sid=stream.sid, name=stream.name, tracks=stream.tracks, task=task)
    call.forks.append(fork)
    task.add_done_callback(lambda _: call.forks.remove(fork))
    return fork


def stop_fork(call: SimulatedCall, name: str) -> bool:
    """Ends a server's listening, by the stream's name or sid; False if there is no such stream."""
    for fork in list(call.forks):
        if name in (fork.name, fork.sid):
            fork.task.cancel()
            return True
    call.log.note("no_such_stream")
    return False
