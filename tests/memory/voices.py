"""The TTS services that a call can have, one for each way to tell about words."""

import asyncio
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from pipecat.frames.frames import TTSAudioRawFrame, TTSStoppedFrame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import (  # pyright: ignore[reportMissingImports]
    Behaviour,
    PythonSpeaker,
    SentenceSpeaker,
    TimedSpeaker,
    Timestamps,
)
from truth_words import pcm_of, said, sound  # pyright: ignore[reportMissingImports]

from tests.waiting import time_passes
from twilio_frames.testing.known_speech import TextVoice


class Voice(Enum):
    """The ways in which TTS services tell about their words."""

    TIMES_FIRST = "word times ahead of the audio"
    TIMES_LAST = "word times behind the audio"
    PYTHON = "PythonTTSService"
    TEXT_LAST = "sentences behind their audio"
    TEXT_FIRST = "sentences ahead of their audio"


class SocketSpeaker(TTSService):
    """No timestamps, and the audio comes by another way than the text: the text is first.

    Args:
        say: How a text sounds.
        is_silent: Which texts have no sound, when they are asked for the first time.
        **options: Pipecat's.
    """

    def __init__(
        self,
        *,
        say: TextVoice = said,
        is_silent: Callable[[str], bool] = lambda text: False,
        **options: Any,
    ):
        super().__init__(
            settings=TTSSettings(model=None, voice=None, language=None),
            push_start_frame=True,
            pause_frame_processing=True,
            **options,
        )
        self._say = say
        self._is_silent = is_silent
        self._left_out = set[str]()
        self._orders: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue(100)
        self._provider: asyncio.Task[None] | None = None

    async def start(self, frame):
        await super().start(frame)
        self._provider = self.create_task(self._provide())

    async def cleanup(self):
        await super().cleanup()
        await self.disconnect()

    async def disconnect(self):
        provider, self._provider = self._provider, None
        if provider:
            await self.cancel_task(provider)

    async def run_tts(self, text: str, context_id: str):
        self._orders.put_nowait((context_id, text))
        yield None

    async def flush_audio(self, context_id: str | None = None):
        if context_id:
            self._orders.put_nowait((context_id, None))

    async def _provide(self) -> None:
        while True:
            context_id, text = await self._orders.get()
            await time_passes(0.05)
            if text is None:
                await self.append_to_audio_context(context_id, TTSStoppedFrame(context_id))
                await self.remove_audio_context(context_id)
                continue
            if self._is_silent(text) and text not in self._left_out:
                self._left_out.add(text)
                continue
            mulaw = sound(self._say(text))
            for begin in range(0, len(mulaw), 800):
                if not self.audio_context_available(context_id):
                    break
                pcm = pcm_of(mulaw[begin : begin + 800])
                frame = TTSAudioRawFrame(pcm, self.sample_rate, 1, context_id=context_id)
                await self.append_to_audio_context(context_id, frame)
                await time_passes(0.03)


class CountsAnew(TimedSpeaker):
    """Forgets what it has said when Pipecat takes it for over."""

    def __init__(self, **options: Any):
        super().__init__(Behaviour(), **options)

    async def on_audio_context_completed(self, context_id: str):
        await super().on_audio_context_completed(context_id)
        self._spoken.pop(context_id, None)


class NeverStops(TimedSpeaker):
    """Does not say when it is done: Pipecat does, some time later."""

    def __init__(self, **options: Any):
        super().__init__(Behaviour(), push_stop_frames=True, **options)

    async def flush_audio(self, context_id: str | None = None):
        pass


def speaker(voice: Voice, **options: Any) -> TTSService:
    options = {
        "skip_text_types": ["code"],
        "text_transforms": [("*", _without_stars)],
        **options,
    }
    match voice:
        case Voice.TIMES_FIRST:
            return TimedSpeaker(Behaviour(), **options)
        case Voice.TIMES_LAST:
            return TimedSpeaker(Behaviour(timestamps=Timestamps.AFTER), **options)
        case Voice.PYTHON:
            return PythonSpeaker(Behaviour(), **options)
        case Voice.TEXT_LAST:
            return SentenceSpeaker(Behaviour(), **options)
        case Voice.TEXT_FIRST:
            return SocketSpeaker(**options)


async def _without_stars(text: str, text_type: str) -> str:
    return text.replace("*", "")
