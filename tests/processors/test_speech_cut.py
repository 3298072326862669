# The far end of a fake line has nothing to await.

from pipecat.frames.frames import Frame, InterruptionFrame, TTSStartedFrame, TTSStoppedFrame

from tests.processors.output_rig import FakeLine, speaking
from tests.transport.bots import tone
from tests.waiting import until
from twilio_frames.audio import encode_mulaw
from twilio_frames.frames import MulawOutputFrame, SpeechCutFrame
from twilio_frames.processors.output.queue_writer import UtteranceAudio


def utterance(context_id: str, seconds: float) -> list[Frame]:
    return [
        TTSStartedFrame(context_id=context_id),
        MulawOutputFrame.of(encode_mulaw(tone(seconds)), context_id=context_id),
        TTSStoppedFrame(context_id=context_id),
    ]


async def heard_at_least(line: FakeLine, size: int) -> None:
    await until(lambda: line.playback.heard >= size, seconds=5)


async def test_cut_tells_what_was_heard_of_each_utterance():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(
            [*utterance("first", 0.2), *utterance("second", 1.0), *utterance("third", 1.0)]
        )
        await heard_at_least(line, 4000)
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(SpeechCutFrame, count=2)

    frames = [frame for frame in tap.frames(SpeechCutFrame) if isinstance(frame, SpeechCutFrame)]
    cuts = {frame.context_id: frame.heard_ms for frame in frames}
    assert line.playback.cut is not None
    assert cuts == {"second": line.playback.cut.position // 8 - 200, "third": 0}
    assert 300 <= cuts["second"] < 1000


async def test_what_was_heard_to_its_end_is_no_cut():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(utterance("first", 0.1))
        await heard_at_least(line, 800)
        await worker.queue_frames([InterruptionFrame(), *utterance("second", 0.1)])
        await tap.wait_for(InterruptionFrame)
        await heard_at_least(line, 1600)

    assert not tap.frames(SpeechCutFrame)


def test_utterances_may_take_turns():
    audio = UtteranceAudio()
    audio.add("a", 0, 100, heard=0)
    audio.add("b", 100, 200, heard=0)
    audio.add("a", 200, 300, heard=150)

    assert audio.cut(250) == {"a": 150}


def test_context_that_comes_again_begins_anew():
    audio = UtteranceAudio()
    audio.add(None, 0, 100, heard=0)
    audio.over(None)
    audio.add(None, 100, 200, heard=0)

    assert audio.cut(130) == {None: 30}
