# The far end of a fake line has nothing to await.
import math
import time
from itertools import accumulate, pairwise

import pytest
from loguru import logger
from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    InterruptionFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)

from tests.processors.memory_rig import speech as sentence
from tests.processors.output_rig import FakeLine, speaking, words_heard
from tests.transport.bots import speech, tone
from tests.waiting import others_run, time_passes, until
from twilio_frames.audio import encode_mulaw
from twilio_frames.frames import CallEndReason, HoldFrame, MarkSentFrame, SendMarkFrame
from twilio_frames.protocol import Clear, SendMark, SendMedia
from twilio_frames.transport import TwilioParams


async def test_twilio_is_kept_one_lead_ahead():
    line = FakeLine()
    async with speaking(line, TwilioParams(lead_secs=0.3)) as (worker, tap):
        await worker.queue_frames(speech(1.0))
        await tap.wait_for(BotStoppedSpeakingFrame)

    times = [sent_at for sent_at, _ in line.of(SendMedia)]
    sent = accumulate(len(m.payload) for _, m in line.sent if isinstance(m, SendMedia))
    ahead = [end / 8000 - (at - times[0]) for end, at in zip(sent, times, strict=True)]
    assert len(times) == 19
    # Some messages at once, then one each 100 ms: never much more ahead than the lead.
    assert max(ahead) < 0.45
    assert times[10] - times[0] < 0.1 < times[13] - times[0]


async def test_first_marks_tell_when_speech_began():
    """Each behind a piece that began at another moment of the 20 ms between the caller's."""
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(1.0))
        await tap.wait_for(BotStoppedSpeakingFrame)

    ends = accumulate(len(m.payload) for _, m in line.sent if isinstance(m, SendMedia))
    moments = sorted(end % 160 for end in ends if end <= 0.25 * 8000)
    assert max(later - sooner for sooner, later in pairwise([*moments, 160])) <= 16


async def test_stall_is_caught_up_with():
    line = FakeLine()
    async with speaking(line, TwilioParams(lead_secs=0.3)) as (worker, tap):
        await worker.queue_frames(speech(1.0))
        await until(lambda: len(line.of(SendMedia)) >= 5)
        time.sleep(0.2)  # noqa: ASYNC251  # the stall
        await tap.wait_for(BotStoppedSpeakingFrame)

    times = [sent_at for sent_at, _ in line.of(SendMedia)]
    late = [sent_at - times[0] - 0.1 * number for number, sent_at in enumerate(times)]
    assert max(late) <= 0, "each message was there before its turn to be played"


async def test_every_message_has_a_mark_behind_it_and_the_first_one_before():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(0.25))
        await tap.wait_for(BotStoppedSpeakingFrame)

    kinds = [type(message) for _, message in line.sent]
    assert kinds == [SendMark] + [SendMedia, SendMark] * 11


@pytest.mark.parametrize("says_something", [True, False])
async def test_mark_goes_out_though_all_has_been_sent(says_something: bool):
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        if says_something:
            await worker.queue_frames(speech(0.5))
            await tap.wait_for(BotStoppedSpeakingFrame)
        await worker.queue_frame(SendMarkFrame(mark="behind"))
        await tap.wait_for(MarkSentFrame)

    marks = [message.name for _, message in line.sent if isinstance(message, SendMark)]
    assert marks[-1] == "behind"


async def test_speech_ends_when_it_was_heard():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(0.5))
        await tap.wait_for(BotStartedSpeakingFrame)
        began = time.monotonic()
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert time.monotonic() - began > 0.45


async def test_lost_marks_cost_patience_once():
    line = FakeLine(echoes=False)
    params = TwilioParams(playout_timeout_secs=0.4)
    async with speaking(line, params) as (worker, tap):
        times = [time.monotonic()]
        for count in (1, 2):
            await worker.queue_frames(speech(0.1))
            await tap.wait_for(BotStoppedSpeakingFrame, count=count)
            times.append(time.monotonic())

    assert times[1] - times[0] > 0.5
    assert times[2] - times[1] < 0.4


async def test_interruption_clears_once():
    line = FakeLine(echoes=False)
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(5.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)
        await time_passes(0.25)

    kinds = [type(message) for _, message in line.sent]
    assert kinds.count(Clear) == 1
    assert SendMedia not in kinds[kinds.index(Clear) :]


@pytest.mark.parametrize("at", [0.175, 0.2, 0.225])
async def test_cut_near_where_a_word_may_end_waits_until_it_has(at: float):
    """Nobody tells where: three words share 0.6 s."""
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(sentence("One two six."))
        await tap.wait_for(BotStartedSpeakingFrame)
        began, _ = line.of(SendMedia)[0]
        heard = words_heard(worker)
        await time_passes(began + at - time.monotonic())
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)

    ((cleared_at, _),) = line.of(Clear)
    assert cleared_at - began == pytest.approx(0.233, abs=0.005)
    assert heard == ["One", "—"]


async def test_cut_in_the_middle_of_a_word_waits_for_nothing():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(sentence("One two six."))
        await tap.wait_for(BotStartedSpeakingFrame)
        began, _ = line.of(SendMedia)[0]
        await time_passes(began + 0.3 - time.monotonic())
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)

    ((cleared_at, _),) = line.of(Clear)
    assert cleared_at - began == pytest.approx(0.3, abs=0.005)


@pytest.mark.parametrize("is_held", [False, True])
async def test_what_is_said_right_behind_an_interruption_is_heard(is_held: bool):
    """It comes while Twilio has not told yet where the speech before it was cut."""
    line = FakeLine(echoes=False)
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(5.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        if is_held:
            await worker.queue_frame(HoldFrame())
        await worker.queue_frames([InterruptionFrame(), *speech(0.5)])
        await tap.wait_for(BotStoppedSpeakingFrame, count=2)

    kinds = [type(message) for _, message in line.sent]
    behind = line.sent[kinds.index(Clear) :]
    assert sum(len(m.payload) for _, m in behind if isinstance(m, SendMedia)) >= 4000


async def test_no_stale_audio_slips_behind_a_clear():
    """At whatever moment the interruption comes."""
    line = FakeLine()
    async with speaking(line, TwilioParams(lead_secs=10)) as (worker, tap):
        for number in range(1, 12):
            await worker.queue_frames(speech(1.0))
            for _ in range(3 * number):
                await others_run()
            await worker.queue_frame(InterruptionFrame())
            await tap.wait_for(InterruptionFrame, count=number)
            await time_passes(0.02)
            kinds = [type(message) for _, message in line.sent]
            if Clear in kinds:
                last_clear = len(kinds) - 1 - kinds[::-1].index(Clear)
                assert SendMedia not in kinds[last_clear:]


async def test_uninterruptible_speech_is_heard_out():
    line = FakeLine()
    start, audio, stop = speech(0.5)
    audio.interruptible = stop.interruptible = False
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([start, audio, stop])
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert line.of(Clear) == []
    assert line.audio().startswith(encode_mulaw(tone(0.5)))


async def test_silent_bot_clears_nothing():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(InterruptionFrame)
        await worker.queue_frames(speech(0.1))
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert line.of(Clear) == []


async def test_end_waits_for_the_last_word():
    line = FakeLine()
    async with speaking(line) as (worker, _):
        began = time.monotonic()
        await worker.queue_frames([*speech(0.4), EndFrame()])
        await until(lambda: not line.is_open)

        assert time.monotonic() - began > 0.4
    assert line.closed_for is CallEndReason.BOT_HUNG_UP


async def test_last_word_counts_though_the_provider_ran_dry():
    """All that was sent has been heard, and the utterance has not been ended, when it is cut."""
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        start, audio, _ = speech(0.3)
        assert isinstance(audio, TTSAudioRawFrame)
        audio.context_id = "c"
        announced = AggregatedTextFrame("word", "sentence")
        announced.context_id, announced.will_be_spoken = "c", True
        word = TTSTextFrame("word", "word")
        word.context_id = "c"
        word.pts = 1
        heard = words_heard(worker)
        await worker.queue_frames([announced, start, audio, word])
        await tap.wait_for(BotStartedSpeakingFrame)
        await time_passes(0.5)
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)
        await time_passes(0.05)

    assert heard[:1] == ["word"]


async def test_foreign_messages_are_named_once():
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    async with speaking(FakeLine()) as (worker, tap):
        await worker.queue_frames(
            [
                OutputTransportMessageUrgentFrame({"label": "rtvi-ai", "type": "bot-ready"}),
                OutputTransportMessageFrame({"secret": "1"}),
                OutputTransportMessageUrgentFrame({"secret": "2"}),
                *speech(0.1),
            ]
        )
        await tap.wait_for(BotStoppedSpeakingFrame)
    logger.remove(sink)

    (line,) = [line for line in lines if "no messages" in line]
    assert "secret" not in line


async def test_utterances_in_a_row_are_one_speech():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([*speech(0.2), *speech(0.2)])
        await tap.wait_for(BotStartedSpeakingFrame)
        began = time.monotonic()
        await tap.wait_for(BotStoppedSpeakingFrame)

        assert time.monotonic() - began > 0.35
        assert len(tap.frames(BotStartedSpeakingFrame)) == 1


async def test_sound_without_an_end_ends_with_its_audio():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([SpeechOutputAudioRawFrame(tone(0.2), 8000, 1) for _ in range(2)])
        await tap.wait_for(BotStartedSpeakingFrame)
        began = time.monotonic()
        await tap.wait_for(BotStoppedSpeakingFrame)

        assert time.monotonic() - began > 0.35


async def test_end_does_not_wait_for_lost_marks():
    line = FakeLine(echoes=False)
    async with speaking(line, TwilioParams(playout_timeout_secs=0.2)) as (worker, _):
        began = time.monotonic()
        await worker.queue_frames([*speech(0.3), EndFrame()])
        await until(lambda: not line.is_open)

        assert 0.45 < time.monotonic() - began < 2.0
    assert line.closed_for is CallEndReason.BOT_HUNG_UP


@pytest.mark.parametrize(
    ("answers", "remembered"), [(False, ["one", "two", "three"]), (True, ["one"])]
)
async def test_words_heard_before_the_line_ended_are_remembered(
    answers: bool, remembered: list[str]
):
    """No mark ever comes back: the clock tells. Or they stop to: so did the line."""
    line = FakeLine(echoes=False)
    async with speaking(line) as (worker, tap):
        start, audio, _ = speech(1.6)
        assert isinstance(audio, TTSAudioRawFrame)
        audio.context_id = "c"
        words: list[TTSTextFrame] = []
        for number, text in enumerate(("one", "two", "three", "four")):
            word = TTSTextFrame(text, "word")
            word.context_id, word.pts = "c", 1 + number * 300_000_000
            words.append(word)
        heard = words_heard(worker)
        await worker.queue_frames([start, audio, *words])
        await tap.wait_for(BotStartedSpeakingFrame)
        if answers:
            line.echo_first()
        await time_passes(1.1)
        await line.close(CallEndReason.LINE_LOST, "gone")
        await time_passes(0.1)

    assert heard == remembered


async def test_silence_of_the_whole_line_is_no_lost_mark():
    line = FakeLine(echoes=False)
    async with speaking(line, TwilioParams(playout_timeout_secs=0.2)) as (worker, tap):
        await worker.queue_frames(speech(0.3))
        await tap.wait_for(BotStartedSpeakingFrame)
        line.echo_first()
        line.playback.last_received = time.monotonic()
        await time_passes(2.0)
        assert not tap.frames(BotStoppedSpeakingFrame)
        line.playback.last_received = math.inf
        await tap.wait_for(BotStoppedSpeakingFrame)
