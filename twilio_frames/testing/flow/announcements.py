"""``<Say>``, ``<Play>``: what Twilio itself has the caller hear."""

import asyncio
import io

import numpy as np

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.callers.hearing import Announcement
from twilio_frames.testing.callers.tones import tones
from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.calls.webhooks import Reply
from twilio_frames.testing.speech import TWILIO_VOICE, to_mulaw, to_utterance
from twilio_frames.testing.streams.playback import MAX_BUFFERED, Playback
from twilio_frames.testing.verbs import Play, Say

_MAX_LOOPS = 1000
"""What ``loop="0"``, for ever, amounts to in Twilio's own words."""


async def say(call: SimulatedCall, verb: Say) -> None:
    """Reads a text to the caller, by espeak-ng; silent where it is not installed."""
    try:
        mulaw = (await to_utterance(verb.text, voice=TWILIO_VOICE)).mulaw
    except ConfigurationError:
        call.log.note("say", seconds=0, reason="no synthesiser is installed")
        return
    call.log.note("say", seconds=round(len(mulaw) / SAMPLE_RATE, 2))
    await _repeat(call, mulaw, verb.loop, text=verb.text)


async def play_file(call: SimulatedCall, verb: Play) -> None:
    """Fetches a file and plays it."""
    reply = await call.exchange.webhooks.request(
        verb.url, {}, method="GET", max_bytes=40 * 1024 * 1024
    )
    if isinstance(reply, Alert):
        call.alert(reply)
        return
    await play_sound(call, reply, loop=verb.loop)


async def play_sound(call: SimulatedCall, reply: Reply, *, loop: int = 1) -> None:
    """Plays a file that was fetched."""
    if not reply.content_type.startswith("audio/"):
        text = f"expected audio at {reply.url}, got {reply.content_type}: set the Content-Type"
        call.alert(Alert(code=12300, text=text))
        return
    try:
        mulaw = await asyncio.to_thread(_decode, reply.body, reply.content_type)
    except (RuntimeError, ValueError):
        call.log.note("play", seconds=0, reason=f"no {reply.content_type} that can be read")
        return
    call.log.note("play", seconds=round(len(mulaw) / SAMPLE_RATE, 2))
    await _repeat(call, mulaw, loop)


async def play_digits(call: SimulatedCall, digits: str) -> None:
    """Presses keys for the caller to hear."""
    call.log.note("play_digits", count=len(digits))
    await announce(call, tones(digits))


async def announce(call: SimulatedCall, mulaw: bytes) -> None:
    """Plays Twilio's own audio to the caller, to its end."""
    playback = Playback()
    for begin in range(0, len(mulaw), MAX_BUFFERED):
        playback.queue(mulaw[begin : begin + MAX_BUFFERED])
        call.line.listen_to(playback)
        call.ready.set()
        try:
            while not playback.is_idle:
                await call.line.next_turn()
        finally:
            call.line.listen_to(None)


async def _repeat(call: SimulatedCall, mulaw: bytes, loop: int, *, text: str = "") -> None:
    for _ in range(min(loop, _MAX_LOOPS) or _MAX_LOOPS):
        if text:
            began_at, seconds = call.line.ear.now, len(mulaw) / SAMPLE_RATE
            said = Announcement(text=text, began_at=began_at, seconds=seconds)
            call.announcements.append(said)
        await announce(call, mulaw)
        if not mulaw:
            return


def _decode(body: bytes, content_type: str) -> bytes:
    if content_type == "audio/ulaw":
        return body
    # It brings a library, which few calls need.
    import soundfile

    headerless = {"format": "RAW", "subtype": "GSM610", "samplerate": SAMPLE_RATE, "channels": 1}
    options = headerless if content_type in ("audio/gsm", "audio/x-gsm") else {}
    samples, rate = soundfile.read(io.BytesIO(body), dtype="int16", always_2d=True, **options)
    return to_mulaw(samples.astype(np.int32).mean(axis=1).astype(np.int16).tobytes(), rate)
