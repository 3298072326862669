"""TTSFallback: each word is spoken once, in order, whoever speaks it."""

import asyncio

import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.services.settings import TTSSettings

from tests.processors.fallback_rig import HANG, ScriptedTTS, TimedTTS, running, vendors
from tests.waiting import time_passes
from twilio_frames.frames import SendMarkFrame
from twilio_frames.processors.fallback import TTSFallback, VendorState


def fallback(*voices: ScriptedTTS, **kwargs) -> TTSFallback:
    settings = {"vendors": vendors(), "names": ["first", "second"], "patience_secs": 0.3}
    return TTSFallback(voices, **{**settings, **kwargs})


def reply(*texts: str) -> list[Frame]:
    tokens = [LLMTextFrame(text) for text in texts]
    return [LLMFullResponseStartFrame(), *tokens, LLMFullResponseEndFrame()]


def seconds(rig) -> float:
    return sum(len(frame.audio) for frame in rig.passed(TTSAudioRawFrame)) / 16000


TALK = "One two three. Four five six. Seven eight nine. "
WORDS = TALK.split()


@pytest.mark.parametrize("kind", [ScriptedTTS, TimedTTS])
@pytest.mark.parametrize("fault", [HANG, LookupError()])
@pytest.mark.parametrize("word", ["One", "Four", "Seven"])
async def test_sentences_that_were_not_spoken_are(kind, fault, word: str):
    first, second = kind(fails_at={word: fault}), kind()
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply(TALK))
        await rig.replied()

    assert rig.words() == WORDS
    assert seconds(rig) == pytest.approx(0.4 * len(WORDS), abs=0.01)
    assert rig.switches == [("first", "second")]
    assert not rig.errors


async def test_word_that_broke_off_is_where_the_second_begins():
    first, second = TimedTTS(fails_at={"five": HANG}), TimedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply(TALK))
        await rig.replied()

    assert rig.words() == WORDS
    assert second.texts == ["five six.", "Seven eight nine."]


async def test_without_word_times_the_place_is_judged_by_the_audio():
    first, second = ScriptedTTS(fails_at={"five": HANG}), TimedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply("Four five six. Seven eight nine. "))
        await rig.replied()

    # 0.4 s are enough for "Four".
    assert second.texts[0] == "five six."
    assert rig.words() == ["Four", "five", "six.", "Seven", "eight", "nine."]


async def test_utterances_are_closed():
    first, second = TimedTTS(fails_at={"five": HANG}), ScriptedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply(TALK))
        await rig.replied()

    starts = [frame.context_id for frame in rig.passed(TTSStartedFrame)]
    stops = [frame.context_id for frame in rig.passed(TTSStoppedFrame)]
    assert starts == stops
    assert len(starts) == 2


async def test_reply_that_is_still_coming_is_spoken_by_second():
    first, second = TimedTTS(fails_at={"One": HANG}), TimedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(LLMFullResponseStartFrame(), LLMTextFrame("One two three. Fo"))
        await rig.switched()
        await rig.give(LLMTextFrame("ur five six. "), LLMFullResponseEndFrame())
        await rig.replied()

    assert rig.words() == WORDS[:6]
    assert len(rig.passed(LLMFullResponseStartFrame)) == 1
    assert len(rig.passed(LLMFullResponseEndFrame)) == 1


async def test_speak_frame_keeps_what_it_was():
    first, second = TimedTTS(fails_at={"there": HANG}), TimedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(TTSSpeakFrame("Hello there friend.", append_to_context=False))
        await rig.give(SendMarkFrame("behind"))
        await rig.after.wait_for(SendMarkFrame)

    assert rig.words() == ["Hello", "there", "friend."]
    assert [f.append_to_context for f in rig.passed(TTSStartedFrame)] == [False, False]
    kinds = [type(frame) for frame, _ in rig.after.seen]
    assert kinds.index(SendMarkFrame) > len(kinds) - kinds[::-1].index(TTSStoppedFrame) - 1


async def test_interruption_leaves_nothing_to_say():
    first, second = TimedTTS(fails_at={"Four": HANG}), TimedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply(TALK))
        await rig.after.wait_for(TTSAudioRawFrame, count=3)
        await rig.give(InterruptionFrame())
        await rig.after.wait_for(InterruptionFrame)
        await time_passes(0.5)
        await rig.give(TTSSpeakFrame("Yes?"))
        await rig.after.wait_for(TTSStoppedFrame)

    assert not rig.switches
    assert second.texts == []


async def test_interruption_after_takeover_stops_second():
    first, second = TimedTTS(fails_at={"One": HANG}), TimedTTS(fails_at={"Seven": HANG})
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply(TALK))
        await rig.after.wait_for(TTSAudioRawFrame, count=6)
        await rig.give(InterruptionFrame())
        await rig.after.wait_for(InterruptionFrame)
        await time_passes(0.5)

    assert len(rig.switches) == 1
    assert len(rig.passed(InterruptionFrame)) == 1


async def test_silent_text_is_no_failure():
    first, second = TimedTTS(), TimedTTS()
    first.fails_at = {"...": HANG}
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply("... "))
        await time_passes(0.6)

    assert not rig.switches


async def test_slow_llm_is_no_failure():
    async with running(fallback(TimedTTS(), TimedTTS())) as rig:
        await rig.give(LLMFullResponseStartFrame(), LLMTextFrame("One two three. Four"))
        await time_passes(0.8)
        await rig.give(LLMTextFrame(" five six. "), LLMFullResponseEndFrame())
        await rig.replied()

    assert rig.words() == WORDS[:6]
    assert not rig.switches


async def test_next_call_speaks_with_second_at_once():
    known = vendors()
    async with running(
        fallback(TimedTTS(fails_at={"One": HANG}), TimedTTS(), vendors=known)
    ) as rig:
        await rig.give(*reply(TALK))
        await rig.replied()
    first, second = TimedTTS(), TimedTTS()
    async with running(fallback(first, second, vendors=known)) as rig:
        await rig.give(*reply(TALK))
        await rig.replied()

    assert (first.texts, len(second.texts)) == ([], 3)
    assert [vendor.state for vendor in known] == [VendorState.DOWN, VendorState.WELL]


async def test_all_failing_is_one_error_and_the_call_goes_on():
    first, second = TimedTTS(fails_at={"One": HANG}), TimedTTS(fails_at={"One": LookupError()})
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply(TALK))
        await rig.replied()
        await rig.give(*reply("Four five six. "))
        await rig.replied(2)

    assert len(rig.errors) == 1
    assert rig.words() == WORDS[3:6]
    assert not rig.passed(InterruptionFrame)


async def test_goodbye_is_spoken_by_second():
    first, second = TimedTTS(fails_at={"Good": HANG}), TimedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(TTSSpeakFrame("Good bye."), EndFrame())
        await rig.after.wait_for(EndFrame)

    assert rig.words() == ["Good", "bye."]


async def test_settings_reach_who_stands_by():
    first, second = TimedTTS(), TimedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(
            TTSUpdateSettingsFrame(delta=TTSSettings(voice="hers"), service=second),
            TTSUpdateSettingsFrame(delta=TTSSettings(voice="his")),
            TTSSpeakFrame("Hello."),
        )
        await rig.after.wait_for(TTSStoppedFrame)

    assert (first.voice, second.voice) == ("his", "hers")


class NeverThere(TimedTTS):
    """Its vendor does not answer."""

    async def setup(self, setup):
        await super().setup(setup)
        await asyncio.Event().wait()


@pytest.mark.parametrize("is_first", [True, False])
async def test_call_begins_without_a_vendor_that_does_not_answer(monkeypatch, is_first: bool):
    monkeypatch.setattr("twilio_frames.processors.fallback.branches.SETUP_SECS", 0.2)
    there, never = TimedTTS(), NeverThere()
    async with running(fallback(*((never, there) if is_first else (there, never)))) as rig:
        await rig.give(*reply(TALK))
        await rig.replied()

    assert rig.words() == WORDS
    assert there.texts[0] == "One two three."


async def test_announcements_name_what_is_spoken():
    first, second = TimedTTS(fails_at={"Four": HANG}), TimedTTS()
    async with running(fallback(first, second)) as rig:
        await rig.give(*reply(TALK))
        await rig.replied()

    said = [f.text for f in rig.passed(AggregatedTextFrame) if f.will_be_spoken]
    assert said[-2:] == ["Four five six.", "Seven eight nine."]
