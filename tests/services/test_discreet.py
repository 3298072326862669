"""Voices that are no longer usable; what their vendors' tests say of it holds for any of them."""

from collections.abc import AsyncGenerator

from loguru import logger
from pipecat.frames.frames import Frame, TTSSpeakFrame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import run_test

from twilio_frames.services.redacting import RedactingTTSService


class Voice(RedactingTTSService):
    """Notes what it is to say, and what it leaves out."""

    def __init__(self):
        super().__init__(settings=TTSSettings(model=None, voice=None, language=None))
        self.asked: list[str] = []
        self.left_out: list[str] = []

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self.asked.append(text)
        if text == "Bada gime.":
            await self.set_usable(False)
        yield None

    async def leave_out(self, text: str) -> None:
        self.left_out.append(text)


async def test_texts_are_left_out_once_it_is_unusable():
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{message}")
    voice = Voice()
    texts = ["Bada gime.", "Lopu nasi.", "Rito fesu."]
    try:
        await run_test(voice, frames_to_send=[TTSSpeakFrame(text) for text in texts])
    finally:
        logger.remove(sink)

    assert not voice.is_usable
    assert (voice.asked, voice.left_out) == (texts[:1], texts[1:])
    assert not [text for text in texts if text in "".join(lines)]


def test_pipecat_has_what_is_overridden():
    names = {name for name in dir(TTSService) if name in vars(RedactingTTSService)}

    assert {"is_usable", "_prepare_text_for_tts", "tts_process_generator"} <= names
    assert names & {"_push_tts_frames", "_synthesize_text"}
