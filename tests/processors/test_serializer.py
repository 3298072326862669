import json
from types import SimpleNamespace
from typing import cast

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputTransportMessageFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameProcessorSetup

from tests.protocol.pair import START
from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.frames import (
    CallEndedFrame,
    CallStartedFrame,
    MarkReachedFrame,
    MulawInputFrame,
    MulawOutputFrame,
    SendMarkFrame,
)
from twilio_frames.processors.serializer import TwilioSerializer
from twilio_frames.protocol import (
    Connected,
    Dtmf,
    Mark,
    Media,
    Message,
    Role,
    SendMark,
    SendMedia,
    Stop,
    Stream,
)

MULAW = bytes(range(160))


class Line:
    """A serializer with Twilio's end of the stream."""

    def __init__(self, *, knows_start: bool = True):
        self.serializer = TwilioSerializer("MZ1" if knows_start else None)
        self.twilio = Stream(Role.TWILIO)
        if knows_start:
            self.twilio.adopt(START)

    async def hear(self, message: Message) -> Frame | None:
        return await self.serializer.deserialize(self.twilio.send(message))

    async def say(self, frame: Frame) -> list:
        text = await self.serializer.serialize(frame)
        return [] if text is None else self.twilio.receive(text)


async def test_stream_can_begin_at_connected():
    line = Line(knows_start=False)

    assert await line.hear(Connected()) is None
    started = await line.hear(START)
    assert isinstance(started, CallStartedFrame)
    assert started.stream_sid == "MZ1"


async def test_audio_comes_as_pcm_and_mulaw():
    audio = await Line().hear(Media(payload=MULAW, timestamp=99))

    assert isinstance(audio, MulawInputFrame)
    assert (audio.audio, audio.mulaw) == (decode_mulaw(MULAW), MULAW)


async def test_missing_audio_comes_as_silence():
    line = Line()
    await line.hear(Media(payload=MULAW, timestamp=100))

    audio = await line.hear(Media(payload=MULAW, timestamp=140))

    assert isinstance(audio, MulawInputFrame)
    assert audio.mulaw == b"\xff" * 160 + MULAW


async def test_repeated_audio_is_dropped():
    line = Line()
    await line.hear(Media(payload=MULAW, timestamp=100))

    repeated = await line.hear(Media(payload=MULAW, timestamp=100))

    assert not isinstance(repeated, MulawInputFrame)


async def test_bots_own_track_is_not_heard():
    assert await Line().hear(Media(payload=MULAW, timestamp=99, track="outbound")) is None


async def test_digits_and_end_become_frames():
    line = Line()

    digit = await line.hear(Dtmf(digit="*"))
    ended = await line.hear(Stop())

    assert isinstance(digit, InputDTMFFrame)
    assert digit.button.value == "*"
    assert isinstance(ended, CallEndedFrame)
    assert ended.reason == "caller hung up"


async def test_malformed_messages_are_counted():
    serializer = TwilioSerializer("MZ1")

    for data in ["[]", "{", b"\x00", '{"event":"media","media":null}', "null"]:
        assert await serializer.deserialize(data) is None

    assert serializer.violations == {
        "not_an_object": 2,
        "not_json": 1,
        "binary": 1,
        "invalid_field": 1,
    }


async def test_speech_goes_out_as_mulaw():
    pcm = decode_mulaw(encode_mulaw(bytes(320)))

    (media,) = await Line().say(TTSAudioRawFrame(pcm, 8000, 1))

    assert media == SendMedia(payload=b"\xff" * 160, stream_sid="MZ1")


async def test_mulaw_goes_out_as_it_is():
    (media,) = await Line().say(MulawOutputFrame.of(MULAW))

    assert media == SendMedia(payload=MULAW, stream_sid="MZ1")


async def test_other_rates_lose_nothing_in_the_end():
    line = Line()
    second = bytes(2 * 24000)

    sent = [*await line.say(TTSAudioRawFrame(second, 24000, 1)), *await line.say(EndFrame())]

    assert sum(len(media.payload) for media in sent) == 8000


async def test_marks_come_back_with_what_they_mean():
    line = Line()
    await line.say(MulawOutputFrame.of(MULAW))
    assert await line.say(SendMarkFrame(mark="m")) == [SendMark(name="m", stream_sid="MZ1")]
    await line.say(InterruptionFrame())

    reached = await line.hear(Mark(name="m"))

    assert isinstance(reached, MarkReachedFrame)
    assert (reached.mark, reached.position, reached.flushed) == ("m", 160, True)


async def test_nothing_is_sent_before_start():
    line = Line(knows_start=False)

    assert await line.say(MulawOutputFrame.of(MULAW)) == []


async def test_messages_pass_as_they_are():
    message = {"event": "mark", "streamSid": "MZ1", "mark": {"name": "own"}}

    text = await Line().serializer.serialize(OutputTransportMessageFrame(message=message))

    assert json.loads(str(text)) == message


async def test_pipeline_rate_is_kept():
    line = Line()
    setup = SimpleNamespace(audio_in_sample_rate=16000)
    await line.serializer.setup(cast("FrameProcessorSetup", setup))

    frames = [
        await line.hear(Media(payload=MULAW, timestamp=100 + 20 * number)) for number in range(20)
    ]

    audio = [frame for frame in frames if isinstance(frame, MulawInputFrame)]
    assert {frame.sample_rate for frame in audio} == {16000}
    assert sum(len(frame.audio) for frame in audio) > 15 * 640
