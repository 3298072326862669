"""Clips made by the bot's own TTS service, ahead of the calls in which they are heard."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence

from pipecat.frames.frames import (
    AggregatedTextFrame,
    ErrorFrame,
    Frame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import ClipError
from twilio_frames.frames import WordBrokenOffFrame
from twilio_frames.processors.clips import Clip, ClipWord
from twilio_frames.processors.output.line_sound import LineSound
from twilio_frames.processors.words import HeardTextFrame, WordAligner

__all__ = ["MakesTTS", "made_service", "record_clip", "record_clips"]

MakesTTS = Callable[[], TTSService | Awaitable[TTSService]]
"""Makes a TTS service like the one a bot speaks with; may be a coroutine function."""


async def made_service(tts: TTSService | MakesTTS) -> TTSService:
    """A service, or the one that a function of the kind makes."""
    if isinstance(tts, TTSService):
        return tts
    made = tts()
    return await made if inspect.isawaitable(made) else made


async def record_clip(tts: TTSService | MakesTTS, text: str, *, time_limit: float = 20.0) -> Clip:
    """Has a TTS service say a text, and keeps it: sound, words and when each of them ends.

    The service runs as it does on a call, but for the line. Silence at both ends is left out.

    Args:
        tts: A service that no pipeline has run yet, or what makes one.
        text: What is said.
        time_limit: Seconds it may take.

    Raises:
        ClipError: If the service fails, says nothing or takes too long.
    """
    return (await record_clips(tts, [text], time_limit=time_limit))[0]


async def record_clips(
    tts: TTSService | MakesTTS, texts: Sequence[str], *, time_limit: float = 20.0
) -> list[Clip]:
    """Records several texts with one service, one after the other; see :func:`record_clip`.

    Args:
        tts: A service that no pipeline has run yet, or what makes one.
        texts: What is said.
        time_limit: Seconds each may take.

    Raises:
        ClipError: If the service fails, says nothing or takes too long.
    """
    recorder = _Recorder()
    service = await made_service(tts)
    worker = PipelineWorker(
        Pipeline([service, recorder]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    worker.add_event_handler("on_pipeline_error", recorder.failed)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run(), name="clip-recorder")
    try:
        return [await _recorded(worker, recorder, text, time_limit) for text in texts]
    finally:
        await worker.cancel()
        await asyncio.wait({running}, timeout=5.0)
        running.cancel()


async def _recorded(
    worker: PipelineWorker, recorder: "_Recorder", text: str, time_limit: float
) -> Clip:
    done = recorder.begin(text)
    await worker.queue_frame(TTSSpeakFrame(text))
    try:
        async with asyncio.timeout(time_limit):
            return await done
    except TimeoutError:
        raise ClipError(
            f"expected speech from a TTS service within {time_limit:g} s, got none that ended: "
            "check that it can be reached, and that it knows the voice"
        ) from None


class _Recorder(FrameProcessor):
    """Takes down what a service says, as the output does."""

    def __init__(self) -> None:
        super().__init__()
        self._mulaw = bytearray()
        self._words: list[ClipWord] = []
        # One for all texts: the times of each one's words count from those of the one before.
        self._layer = WordAligner(self._lay, lambda begin, end: bytes(self._mulaw[begin:end]))
        self._sound = LineSound()
        self._done: asyncio.Future[Clip] | None = None
        self._text, self._begin = "", 0

    def begin(self, text: str) -> "asyncio.Future[Clip]":
        """Makes ready for a text; gives what is there when it has been said."""
        self._text, self._begin = text, len(self._mulaw)
        self._words.clear()
        self._done = asyncio.get_running_loop().create_future()
        return self._done

    async def failed(self, worker: PipelineWorker, frame: ErrorFrame) -> None:
        """Notes an error of the service."""
        if self._done is not None and not self._done.done():
            # Not the error's text, which may hold what an account's owner would not log.
            name = frame.processor.name if frame.processor else "the service"
            self._done.set_exception(
                ClipError(f"expected speech from {name}, got an error: see what it logged")
            )
            # It may come when nobody waits.
            self._done.exception()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes down speech and words; every frame passes."""
        await super().process_frame(frame, direction)
        match frame:
            case TTSStartedFrame():
                self._layer.start(frame)
            case TTSAudioRawFrame():
                self._take(await self._sound.mulaw_of(frame), frame.context_id)
            case TTSTextFrame():
                self._layer.text(frame)
            case WordBrokenOffFrame():
                self._take(await self._sound.flush(), frame.context_id)
                self._layer.word_broken_off(frame.context_id)
            case AggregatedTextFrame() if frame.will_be_spoken:
                self._layer.announce(frame)
            case TTSStoppedFrame():
                self._take(await self._sound.flush(), frame.context_id)
                self._layer.over(frame.context_id)
                self._end()
            case _:
                pass
        await self.push_frame(frame, direction)

    def _take(self, mulaw: bytes, context_id: str | None) -> None:
        if mulaw:
            begin = len(self._mulaw)
            self._mulaw += mulaw
            self._layer.audio(context_id, begin, len(self._mulaw), self.get_clock().get_time())

    def _lay(self, frame: AggregatedTextFrame, end: int) -> None:
        if isinstance(frame, HeardTextFrame):
            word = ClipWord(text=frame.raw_text or frame.text, end=max(0, end - self._begin))
            self._words.append(word)

    def _end(self) -> None:
        if self._done is None or self._done.done():
            return
        mulaw = bytes(self._mulaw[self._begin :])
        if len(mulaw) < SAMPLE_RATE // 50:
            self._done.set_exception(
                ClipError(
                    "expected speech from a TTS service, got no sound: check that it knows the "
                    "voice, and that the text can be spoken"
                )
            )
            return
        words = tuple(sorted(self._words, key=lambda word: word.end))
        clip = Clip(mulaw=mulaw, text=self._text, words=words)
        self._done.set_result(clip.trimmed())
