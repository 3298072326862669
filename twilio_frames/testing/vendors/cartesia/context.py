"""One of Cartesia's contexts, as its stand-in speaks it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, Resampler, decode_mulaw, encode_mulaw
from twilio_frames.testing.known_speech import SaidWord, sound
from twilio_frames.testing.vendors.cartesia.requests import Complaint, Generation

_SENTENCE_SIGNS = (".", "!", "?")


class WordTimes(Enum):
    """When word timestamps come, where a client wants them."""

    BEFORE = "before the audio"
    ALONG = "along with the audio"
    AFTER = "after the audio"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextError:
    """A context is given up with an ``error`` message.

    Parameters:
        status: As of HTTP: 400, 402, 429, 500 …
        after: How many chunks of its audio are sent before.
    """

    status: int
    after: int = 0


@dataclass(slots=True, kw_only=True)
class SpokenContext:
    """What a client asked for in one context, and what it got.

    Parameters:
        context_id: Its name.
        connection: Which connection it came by, counted from 0.
        transcripts: What was to be said, message by message.
        audio: What was sent, in the encoding that was asked for.
        words: The words whose audio was begun.
        is_cancelled: Whether the client cancelled it.
        is_closed: Whether the client said that no more text follows.
        is_done: Whether all was said.
    """

    context_id: str
    connection: int
    transcripts: list[str] = field(default_factory=list, repr=False)
    audio: bytearray = field(default_factory=bytearray, repr=False)
    words: list[SaidWord] = field(default_factory=list, repr=False)
    is_cancelled: bool = False
    is_closed: bool = False
    is_done: bool = False

    @property
    def text(self) -> str:
        """All that was to be said, joined as Cartesia joins it: as it is."""
        return "".join(self.transcripts)


class Encoder:
    """Brings mu-law audio into the encoding that a client wants.

    Args:
        encoding: One of those that Cartesia knows.
        sample_rate: Hz.
    """

    def __init__(self, encoding: str, sample_rate: int):
        self._encoding = encoding
        self._is_plain = encoding == "pcm_mulaw" and sample_rate == SAMPLE_RATE
        self._resampler = Resampler(SAMPLE_RATE, sample_rate)

    def chunks(self, words: Sequence[SaidWord], seconds: float) -> Iterator[bytes]:
        """The audio of some words, piece by piece."""
        mulaw = sound(words)
        size = max(1, round(seconds * SAMPLE_RATE))
        for begin in range(0, len(mulaw), size):
            yield self.encode(mulaw[begin : begin + size], is_last=begin + size >= len(mulaw))

    def encode(self, mulaw: bytes, *, is_last: bool = False) -> bytes:
        """The same audio in the other encoding."""
        if self._is_plain:
            return mulaw
        pcm = self._resampler.resample(decode_mulaw(mulaw))
        if is_last:
            pcm += self._resampler.flush()
        match self._encoding:
            case "pcm_mulaw":
                return encode_mulaw(pcm)
            case "pcm_f32le":
                samples = np.frombuffer(pcm, dtype=np.int16).astype("<f4") / 32768
                return samples.tobytes()
            case _:
                return np.frombuffer(pcm, dtype=np.int16).astype("<i2").tobytes()


class Speaker(Protocol):
    """How the server speaks; see :class:`twilio_frames.testing.vendors.CartesiaServer`."""

    speed: float
    first_audio_secs: float
    chunk_secs: float
    word_times: WordTimes
    expiry_secs: float

    async def say(self, text: str) -> Sequence[SaidWord]:
        """What a text sounds like."""
        ...

    async def note_change(self) -> None:
        """Wakes whoever waits for something to have happened."""


class Way(Protocol):
    """The connection a context speaks over."""

    @property
    def speaker(self) -> Speaker:
        """Who speaks."""
        ...

    @property
    def slow_secs(self) -> float:
        """How much later than usual the first audio of a text comes."""
        ...

    def forget(self, context_id: str) -> None:
        """Notes that a context speaks no more."""

    async def complain(self, complaint: Complaint, context_id: str | None) -> None:
        """Tells the client what is wrong with its request."""

    async def send(self, event: dict[str, Any]) -> None:
        """Sends a message."""

    async def send_chunk(self, event: dict[str, Any]) -> None:
        """Sends a message with audio."""


class SpeakingContext:
    """Speaks the transcripts of a context, one after another.

    Args:
        way: Where to.
        note: What is noted of it.
        first: The request that begins it.
        error: What goes wrong with it.
    """

    def __init__(
        self, way: Way, note: SpokenContext, first: Generation, error: ContextError | None
    ):
        self._way = way
        self._speaker = way.speaker
        self._note = note
        self._first = first
        self._error = error
        self._encoder = Encoder(first.encoding, first.sample_rate)
        self._requests: asyncio.Queue[Generation] = asyncio.Queue()
        self._seconds = 0.0
        self._chunks = 0
        self._flushes = 0
        self._task = asyncio.create_task(self._speak_all())

    def complaint_about(self, request: Generation) -> Complaint | None:
        """What is wrong with another request, if anything."""
        if self._note.is_closed:
            return Complaint(message="the context has been closed")
        if request.fixed != self._first.fixed:
            return Complaint(message="only the transcript of a context may change")
        return None

    def take(self, request: Generation) -> None:
        """Takes another transcript."""
        if request.transcript:
            self._note.transcripts.append(request.transcript)
        self._note.is_closed = not request.goes_on
        self._requests.put_nowait(request)

    async def stop(self) -> None:
        """Falls silent."""
        self._way.forget(self._note.context_id)
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _speak_all(self) -> None:
        if self._first.encoding == "pcm_alaw":
            await self._give_up(Complaint(message="this stand-in has no A-law", status=501))
            return
        async for text in self._texts():
            if not await self._speak(text):
                return
        await self._way.send(self._event("done", done=True))
        self._note.is_done = True
        self._way.forget(self._note.context_id)
        await self._speaker.note_change()

    async def _texts(self) -> AsyncIterator[str]:
        """What is to be said, in the pieces in which it is generated."""
        text, goes_on = "", True
        while goes_on:
            # Text that waits for more is said when it has waited long enough.
            limit = self._first.delay_ms / 1000 if text else self._speaker.expiry_secs
            try:
                async with asyncio.timeout(limit):
                    request = await self._requests.get()
            except TimeoutError:
                if not text:
                    return
                yield text
                text = ""
                continue
            text += request.transcript
            goes_on = request.goes_on
            is_due = request.delay_ms == 0 or request.flushes or not goes_on or _is_enough(text)
            if is_due and text.strip():
                yield text
                text = ""
                if request.delay_ms == 0 or request.flushes:
                    self._flushes += 1
                    await self._way.send(
                        self._event("flush_done", flush_done=True, flush_id=self._flushes)
                    )

    async def _speak(self, text: str) -> bool:
        """Speaks a text; False if the context has come to an end by it."""
        words = await self._speaker.say(text)
        await asyncio.sleep(self._speaker.first_audio_secs + self._way.slow_secs)
        began, times = self._seconds, _times(words, self._seconds)
        loop = asyncio.get_running_loop()
        due = loop.time()
        if self._times_come(WordTimes.BEFORE):
            await self._tell(times)
        for chunk in self._encoder.chunks(words, self._speaker.chunk_secs):
            if self._error is not None and self._chunks == self._error.after:
                complaint = Complaint(message="gone wrong", status=self._error.status)
                await self._give_up(complaint)
                return False
            self._seconds += self._speaker.chunk_secs
            begun = [one for one in times if one[1] < self._seconds]
            self._note.words += [one[0] for one in begun]
            times = times[len(begun) :]
            if self._times_come(WordTimes.ALONG):
                await self._tell(begun)
            await self._send_audio(chunk)
            due += self._speaker.chunk_secs / self._speaker.speed
            await asyncio.sleep(max(0.0, due - loop.time()))
        if self._times_come(WordTimes.AFTER):
            await self._tell(_times(words, began))
        self._seconds = began + sum(word.size for word in words) / SAMPLE_RATE
        return True

    def _times_come(self, when: WordTimes) -> bool:
        return self._first.with_timestamps and self._speaker.word_times is when

    async def _send_audio(self, chunk: bytes) -> None:
        data = base64.b64encode(chunk).decode()
        await self._way.send_chunk(self._event("chunk", data=data, step_time=10.0))
        self._chunks += 1
        self._note.audio += chunk
        await self._speaker.note_change()

    async def _tell(self, times: Sequence[tuple[SaidWord, float]]) -> None:
        if not times:
            return
        word_timestamps = {
            "words": [word.written for word, _ in times],
            "start": [begin for _, begin in times],
            "end": [begin + len(word.mulaw) / SAMPLE_RATE for word, begin in times],
        }
        await self._way.send(self._event("timestamps", word_timestamps=word_timestamps))

    async def _give_up(self, complaint: Complaint) -> None:
        await self._way.complain(complaint, self._note.context_id)
        self._way.forget(self._note.context_id)
        await self._speaker.note_change()

    def _event(self, kind: str, *, done: bool = False, **more: Any) -> dict[str, Any]:
        context_id = self._note.context_id
        return {"type": kind, "done": done, "status_code": 206, "context_id": context_id, **more}


def _times(words: Sequence[SaidWord], begin: float) -> list[tuple[SaidWord, float]]:
    times: list[tuple[SaidWord, float]] = []
    for word in words:
        times.append((word, begin))
        begin += word.size / SAMPLE_RATE
    return times


def _is_enough(text: str) -> bool:
    """Whether text that came in pieces ends where a voice may well begin to speak it."""
    ended = text.rstrip()
    return ended != text and (ended.endswith(_SENTENCE_SIGNS) or len(text.split()) > 4)
