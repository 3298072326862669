# ruff: noqa: ASYNC240
# The files of these tests are small.
import asyncio
import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from loguru import logger
from pipecat.services.settings import TTSSettings

from tests.transport.bots import tone
from tests.waiting import time_passes, until
from twilio_frames.audio import encode_mulaw
from twilio_frames.errors import ClipError
from twilio_frames.processors.clips import Clip
from twilio_frames.processors.clips import files as clip_files
from twilio_frames.processors.clips.recorder import record_clip, record_clips
from twilio_frames.processors.clips.store import ClipStore, clip_folder
from twilio_frames.processors.greeting import Greeting
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord

TEXT = "Hello, you."


class Beeper(PythonTTSService):
    """Each word is a beep of a quarter of a second, after silence of a tenth."""

    gives_word_times = True
    spoken: ClassVar[list[str]] = []

    def __init__(self, *, voice: str = "alto", rate: int = 16000, fails: bool = False):
        super().__init__(settings=TTSSettings(model=None, voice=voice, language=None))
        self._rate = rate
        self._fails = fails

    async def synthesise(self, text: str):
        if self._fails:
            raise RuntimeError("the vendor says no")
        Beeper.spoken.append(text)
        silence = np.zeros(self._rate // 10, dtype=np.int16).tobytes()
        for word in text.split():
            pcm = silence + tone(0.25, rate=self._rate)
            yield SpeechChunk(
                pcm=pcm, sample_rate=self._rate, words=(SpokenWord(text=word, start=0.1),)
            )


class Sentences(Beeper):
    gives_word_times = False


class Silent(Beeper):
    async def synthesise(self, text: str):
        for chunk in ():
            yield chunk


@pytest.fixture(autouse=True)
def nothing_spoken():
    Beeper.spoken.clear()


@pytest.fixture
def warnings():
    texts: list[str] = []
    number = logger.add(lambda message: texts.append(message.record["message"]), level="WARNING")
    yield texts
    logger.remove(number)


async def test_recording_keeps_where_each_word_ends():
    clip = await record_clip(Beeper, TEXT)

    assert [word.text for word in clip.words] == ["Hello,", "you."]
    # Without the silence in front, but for the lead-in.
    assert clip.words[0].end == pytest.approx(160 + 2000, abs=120)
    assert clip.words[1].end == pytest.approx(160 + 2000 + 800 + 2000, abs=120)


async def test_recording_without_word_times_is_laid_by_letters():
    clip = await record_clip(Sentences(), TEXT)

    assert [word.text for word in clip.words] == ["Hello,", "you."]
    assert clip.words[1].end == pytest.approx(len(clip.mulaw), abs=900)


async def test_telephone_rate_is_recorded_bit_for_bit():
    clip = await record_clip(Beeper(rate=8000), "Hello")

    assert encode_mulaw(tone(0.25)) in clip.mulaw


async def test_several_texts_are_recorded_by_one_service():
    clips = await record_clips(Beeper, [TEXT, "One moment, please."])

    assert [clip.text for clip in clips] == [TEXT, "One moment, please."]
    assert [len(clip.words) for clip in clips] == [2, 3]


@pytest.mark.parametrize("tts", [lambda: Beeper(fails=True), Silent])
async def test_service_without_speech_is_an_error(tts):
    with pytest.raises(ClipError, match="expected speech") as error:
        await record_clip(tts, TEXT, time_limit=3.0)

    assert TEXT not in str(error.value)


async def test_clip_is_made_once_for_disk_and_memory(tmp_path: Path):
    store = ClipStore(tmp_path)
    first = await store.clip(TEXT, Beeper)
    again = await store.clip(TEXT, Beeper)
    elsewhere = await ClipStore(tmp_path).clip(TEXT, Beeper)

    assert Beeper.spoken == [TEXT]
    assert again is first
    assert elsewhere == first


async def test_those_who_ask_at_once_share_a_recording(tmp_path: Path):
    store = ClipStore(tmp_path)
    clips = await asyncio.gather(*(store.clip(TEXT, Beeper) for _ in range(5)))

    assert Beeper.spoken == [TEXT]
    assert len(set(clips)) == 1


async def test_text_voice_class_and_user_tell_clips_apart(tmp_path: Path):
    store = ClipStore(tmp_path)
    await store.clip(TEXT, Beeper)
    await store.clip("Hello.", Beeper)
    await store.clip(TEXT, lambda: Beeper(voice="bass"))
    await store.clip(TEXT, Sentences)
    await store.clip(TEXT, Beeper, apart="slower")

    assert len(Beeper.spoken) == 5
    assert len(list(tmp_path.glob("*.clip"))) == 5


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
async def test_broken_file_is_made_anew(tmp_path: Path, damage: str):
    clip = await ClipStore(tmp_path).clip(TEXT, Beeper)
    (path,) = tmp_path.glob("*.clip")
    data = path.read_bytes()
    broken = {"cut": data[:-10], "flip": data[:-1] + b"x", "empty": b""}[damage]
    path.write_bytes(broken)

    again = await ClipStore(tmp_path).clip(TEXT, Beeper)

    assert len(Beeper.spoken) == 2
    assert (again.text, again.mulaw) == (clip.text, clip.mulaw)
    # The new file is whole.
    assert await ClipStore(tmp_path).clip(TEXT, Beeper) == again
    assert len(Beeper.spoken) == 2


async def test_disk_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
):
    def full(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clip_files, "write_private", full)
    store = ClipStore(tmp_path)
    first = await store.clip(TEXT, Beeper)
    await store.clip("Hello.", Beeper)

    assert await store.clip(TEXT, Beeper) is first
    assert len(warnings) == 1
    assert "No space left" in warnings[0]
    assert list(tmp_path.iterdir()) == []


async def test_clips_that_were_not_used_for_longest_go_first(tmp_path: Path):
    store = ClipStore(tmp_path)
    await store.clip("old", Beeper)
    (old,) = tmp_path.glob("*.clip")
    os.utime(old, (1, 1))
    small = ClipStore(tmp_path, most_bytes=old.stat().st_size * 2 + 200)
    await small.clip("new", Beeper)
    await small.clip("net", Beeper)

    assert not old.exists()
    assert len(list(tmp_path.glob("*.clip"))) == 2


def test_folder_is_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TWILIO_FRAMES_CLIPS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert clip_folder() == tmp_path / "twilio-frames" / "clips"
    monkeypatch.setenv("TWILIO_FRAMES_CLIPS", str(tmp_path / "mine"))
    assert clip_folder() == tmp_path / "mine"


async def test_greeting_is_ready_once_it_was_prepared(tmp_path: Path):
    greeting = Greeting(TEXT, Beeper, store=ClipStore(tmp_path))
    assert greeting.clip is None

    clip = await greeting.prepare()

    assert isinstance(clip, Clip)
    assert greeting.clip is clip
    assert clip.text == TEXT


async def test_greeting_that_cannot_be_recorded_is_a_warning(tmp_path: Path, warnings: list[str]):
    greeting = Greeting(TEXT, lambda: Beeper(fails=True), store=ClipStore(tmp_path))

    assert await greeting.prepare() is None
    assert any("greeting is not recorded" in text for text in warnings)
    assert not any(TEXT in text for text in warnings)
    # A service that has failed is left alone for a while when calls come.
    greeting.prepare_soon()
    assert greeting.clip is None
    await greeting.close()


async def test_greeting_is_recorded_when_the_service_is_well_again(
    tmp_path: Path, warnings: list[str]
):
    made: list[Beeper] = []

    def tts() -> Beeper:
        made.append(Beeper(fails=len(made) < 2))
        return made[-1]

    greeting = Greeting(TEXT, tts, store=ClipStore(tmp_path), retry_secs=0.05)
    assert await greeting.prepare() is None
    await until(lambda: greeting.clip is not None)

    assert len(made) == 3
    assert len([text for text in warnings if "greeting is not recorded" in text]) == 1


async def test_service_that_never_records_a_greeting_is_let_be(tmp_path: Path):
    made: list[Beeper] = []

    def tts() -> Beeper:
        made.append(Beeper(fails=True))
        return made[-1]

    greeting = Greeting(TEXT, tts, store=ClipStore(tmp_path), retry_secs=0.001)
    await greeting.prepare()
    await until(lambda: len(made) >= 5)
    await time_passes(0.2)

    assert len(made) == 5


async def test_greeting_is_not_waited_for_long(tmp_path: Path, warnings: list[str]):
    class Hanging(Beeper):
        async def synthesise(self, text: str):
            await asyncio.Event().wait()
            yield SpeechChunk(pcm=b"", sample_rate=8000)

    greeting = Greeting(TEXT, Hanging, store=ClipStore(tmp_path))
    assert await greeting.prepare(patience=0.2) is None
    assert [text for text in warnings if "not recorded after 0.2 s" in text]
    await greeting.close()


async def test_full_memory_forgets_nothing_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ClipStore, "_MOST_IN_MEMORY", 2)
    store = ClipStore(tmp_path)
    for text in ("One.", "Two."):
        await store.clip(text, Beeper())

    clips = await store.clips(["One.", "Three."], Beeper())

    assert [clip.text for clip in clips] == ["One.", "Three."]
