"""Speech that your own Python makes: an engine in this process, a model, recordings."""

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pipecat.frames.frames import (
    ControlFrame,
    EndFrame,
    Frame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.tracing.service_decorators import traced_tts

from twilio_frames.audio import SAMPLE_RATE, Resampler
from twilio_frames.frames import SpeechLeftOutFrame
from twilio_frames.pipecat_internals import frames_behind_text
from twilio_frames.processors.words.sounding import sounding_secs, words_within

__all__ = ["PythonTTSService", "SpeechChunk", "SpokenWord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWord:
    """A word that begins in a chunk of speech.

    Args:
        text: As it stands in the text, punctuation included.
        start: Seconds from the chunk's first sample.
    """

    text: str
    start: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechChunk:
    """A part of a text's speech.

    Args:
        pcm: Signed 16-bit native-endian mono samples.
        sample_rate: Hz, any; the same for all chunks of a text.
        words: The words that begin in it, in order.
    """

    pcm: bytes
    sample_rate: int
    words: tuple[SpokenWord, ...] = ()


@dataclass
class _UnspokenTextFrame(ControlFrame):
    """Stands in an audio context where the words of a text break off."""


@dataclass(slots=True)
class _Playout:
    """How far an audio context has been spoken.

    Args:
        began: Pipeline clock at its first audio, ns.
        seconds: How much audio it has, pauses included. Word times count in it, as Pipecat's do.
        dry_secs: How long nothing was left of it to be played, before its last text.
    """

    began: int
    seconds: float = 0.0
    dry_secs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _DueWord:
    """A word that waits for its audio.

    Args:
        text: The word.
        seconds: Where it begins in the audio of its context.
        byte: Where it begins in its text's audio at the pipeline's rate.
    """

    text: str
    seconds: float
    byte: int


class PythonTTSService(TTSService):
    """Base of a TTS service whose speech comes from your own coroutine.

    It takes the place of any vendor's TTS service in a pipeline, with the same frames, metrics and
    settings. Speech of any sample rate is brought to the pipeline's, once, and to its last sample.
    An interruption cancels ``synthesise()``: it sees ``asyncio.CancelledError`` at its current
    ``await``. Whatever blocks belongs in a thread: the event loop carries other calls.

    An exception in ``synthesise()``, or a chunk that takes too long, is reported as an error of the
    pipeline, what was not spoken does not enter the context, and the call goes on.

    Example::

        class Beeps(PythonTTSService):
            async def synthesise(self, text):
                for word in text.split():
                    yield SpeechChunk(pcm=beep(word), sample_rate=16000)
    """

    gives_word_times: ClassVar[bool] = False
    """Set it if your chunks name every word: each is then a ``TTSTextFrame`` with its time, right
    ahead of the audio that it begins.

    Otherwise one such frame follows the audio of each text.
    """

    def __init__(
        self, *, pause_between_texts: float = 0.0, time_limit: float = 10.0, **kwargs: Any
    ):
        """Makes the service.

        Args:
            pause_between_texts: Seconds of silence between two texts (sentences) of a response.
            time_limit: Seconds that ``synthesise()`` may take for each chunk.
            **kwargs: Passed to Pipecat's ``TTSService``.
        """
        fixed = {
            "push_start_frame": True,
            "push_stop_frames": True,
            "push_text_frames": not self.gives_word_times,
        }
        # Pipecat's default gives a service up after three texts without sound ("...").
        defaults = {"settings": _no_settings(), "max_consecutive_zero_audio_contexts": 0}
        super().__init__(**{**defaults, **kwargs, **fixed})
        self._pause_between_texts = pause_between_texts
        self._time_limit = time_limit
        self._playouts: dict[str, _Playout] = {}
        # Of the text that is being spoken, or was last.
        self._line: Resampler | None = None
        self._text_began = 0.0
        self._bytes_sent = 0
        self._words_due: deque[_DueWord] = deque()
        self._words_spoken = 0
        self._sounding_secs = 0.0
        self._is_unspoken = False
        self._silent_context: str | None = None

    @abstractmethod
    def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speaks a text. Write it with ``async def`` and ``yield``.

        Args:
            text: A sentence of a response, or the whole text of a ``TTSSpeakFrame``.

        Returns:
            Its speech, chunk by chunk; no chunk if it makes no sound.
        """

    def can_generate_metrics(self) -> bool:
        """Whether this service measures its time to first audio: it does."""
        return True

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speaks a text; Pipecat calls it.

        Args:
            text: What to say.
            context_id: The audio context it belongs to.

        Yields:
            Its audio at the pipeline's sample rate.
        """
        await self.start_tts_usage_metrics(text)
        self._begin_text(context_id)
        # Any exception of the subclass's code ends here, or the response would never end.
        try:
            async for chunk in self._chunks_in_time(text):
                async for frame in self._send(self._take(chunk, context_id), context_id):
                    yield frame
            self._is_unspoken = self._line is None
        except Exception as error:
            await self._report(error)
        if self._line:
            async for frame in self._send(self._line.flush(), context_id, last=True):
                yield frame
        if self._is_unspoken and self.gives_word_times:
            await self._leave_out(text.split()[self._words_spoken :], context_id)

    def _begin_text(self, context_id: str) -> None:
        self._line, self._bytes_sent, self._words_spoken = None, 0, 0
        self._sounding_secs = 0.0
        self._words_due.clear()
        self._is_unspoken, self._silent_context = True, context_id

    async def _chunks_in_time(self, text: str) -> AsyncIterator[SpeechChunk]:
        chunks = self.synthesise(text)
        try:
            while (chunk := await self._next_chunk(chunks)) is not None:
                yield chunk
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def _next_chunk(self, chunks: AsyncIterator[SpeechChunk]) -> SpeechChunk | None:
        async with asyncio.timeout(self._time_limit):
            return await anext(chunks, None)

    def _take(self, chunk: SpeechChunk, context_id: str) -> bytes:
        """Notes when a chunk's words are due, and gives its samples at the pipeline's rate."""
        now = self.get_clock().get_time()
        playout = self._playouts.setdefault(context_id, _Playout(began=now))
        pause = b""
        if self._line is None:
            self._line = Resampler(chunk.sample_rate, self.sample_rate)
            pause = bytes(2 * round(self._pause_before_text(playout, now) * self.sample_rate))
            self._text_began = playout.seconds - len(pause) / (2 * self.sample_rate)
        for word in chunk.words if self.gives_word_times else ():
            seconds = playout.seconds + word.start
            sample = round((seconds - self._text_began) * self.sample_rate)
            self._words_due.append(_DueWord(text=word.text, seconds=seconds, byte=2 * sample))
        playout.seconds += len(chunk.pcm) / (2 * chunk.sample_rate)
        self._sounding_secs += sounding_secs(chunk.pcm, chunk.sample_rate)
        return pause + self._line.resample(chunk.pcm)

    async def _send(
        self, pcm: bytes, context_id: str, *, last: bool = False
    ) -> AsyncIterator[TTSAudioRawFrame]:
        """Cuts audio where words begin and announces each word ahead of its part."""
        while self._words_due and (last or self._words_due[0].byte < self._bytes_sent + len(pcm)):
            word = self._words_due.popleft()
            cut = max(word.byte - self._bytes_sent, 0)
            if before := pcm[:cut]:
                yield self._audio(before, context_id)
            pcm = pcm[cut:]
            self._words_spoken += 1
            await self.add_word_timestamps([(word.text, word.seconds)], context_id)
        if pcm:
            yield self._audio(pcm, context_id)

    def _pause_before_text(self, playout: _Playout, now: int) -> float:
        """Moves an audio context to where its next text begins.

        Returns:
            Seconds of silence to send: none before the first text, less if the context has run dry
            meanwhile (a slow LLM).
        """
        if not playout.seconds:
            return 0.0
        played_by = playout.seconds + playout.dry_secs
        dry = max((now - playout.began) / 1e9 - played_by, 0.0)
        pause = max(self._pause_between_texts - dry, 0.0)
        playout.dry_secs += dry
        playout.seconds += pause
        return pause

    def _audio(self, pcm: bytes, context_id: str) -> TTSAudioRawFrame:
        self._silent_context = None
        self._bytes_sent += len(pcm)
        return TTSAudioRawFrame(pcm, self.sample_rate, 1, context_id=context_id)

    async def _report(self, error: Exception) -> None:
        # Not the exception's text, which may hold what was to be said.
        late = isinstance(error, TimeoutError)
        reason = "took too long" if late else f"raised {type(error).__name__}"
        await self.push_error(
            f"synthesise() {reason}", exception=error, category=ErrorCategory.APPLICATION
        )

    async def append_to_audio_context(self, context_id: str | None, frame: Any) -> None:
        """Queues a frame behind the audio before it; of a text that broke off, what was said."""
        if not isinstance(frame, TTSTextFrame) or not self._is_unspoken:
            await super().append_to_audio_context(context_id, frame)
            return
        words = frame.text.split()
        said = words_within(words, round(self._sounding_secs * SAMPLE_RATE))
        if not said:
            # The output sees that there is no sound for it.
            frame.append_to_context = False
            await super().append_to_audio_context(context_id, frame)
            return
        frame.text = " ".join(words[:said])
        await super().append_to_audio_context(context_id, frame)
        rest = SpeechLeftOutFrame(context_id=context_id, text=" ".join(words[said:]))
        await super().append_to_audio_context(context_id, rest)

    async def _leave_out(self, words: list[str], context_id: str) -> None:
        """Tells, where words have times, that those of a text are over before its end."""
        if words:
            await super().append_to_audio_context(context_id, _UnspokenTextFrame())
            rest = SpeechLeftOutFrame(context_id=context_id, text=" ".join(words))
            await super().append_to_audio_context(context_id, rest)

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes a frame, in its turn with the audio."""
        if not isinstance(frame, _UnspokenTextFrame):
            await super().push_frame(frame, direction)
        elif self.gives_word_times:
            for unblocked in frames_behind_text(self):
                await super().push_frame(unblocked)

    async def stop(self, frame: EndFrame) -> None:
        """Ends when all has been spoken, or an interruption has dropped it."""
        try:
            await super().stop(frame)
        except asyncio.CancelledError:
            # Pipecat waits for its task of the audio, which an interruption cancels: it is not this
            # one's end, which would take the EndFrame with it.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise

    async def on_turn_context_completed(self) -> None:
        """Ends the audio context of a response."""
        silent, self._silent_context = self._silent_context, None
        await super().on_turn_context_completed()
        # Pipecat leaves a context whose last text made no sound to its timeout of some seconds,
        # and everything behind it waits.
        if silent and self.audio_context_available(silent):
            await self.append_to_audio_context(silent, TTSStoppedFrame(context_id=silent))
            await self.remove_audio_context(silent)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Forgets a context that was interrupted."""
        self._playouts.pop(context_id, None)
        await super().on_audio_context_interrupted(context_id)

    async def on_audio_context_completed(self, context_id: str) -> None:
        """Forgets a context that has gone out."""
        self._playouts.pop(context_id, None)
        await super().on_audio_context_completed(context_id)


def _no_settings() -> TTSSettings:
    # Pipecat asks for None in each setting that a service does not know.
    return TTSSettings(model=None, voice=None, language=None)
