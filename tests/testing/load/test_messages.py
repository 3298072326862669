"""The quick writer's messages are those of the protocol, byte for byte."""

from twilio_frames.protocol import Connected, Mark, Media, Role, Start, Stop, Stream
from twilio_frames.testing.load.messages import StreamMessages, encoded_frame

AUDIO = bytes(range(160))


def test_messages_equal_the_protocols():
    messages = StreamMessages("MZ1", first_timestamp=120)
    stream = Stream(Role.TWILIO)
    start = Start(
        stream_sid="MZ1", call_sid="CA1", account_sid="AC1", custom_parameters={"who": "jo"}
    )

    assert messages.connected() == stream.send(Connected()).encode()
    assert messages.start("CA1", "AC1", {"who": "jo"}) == stream.send(start).encode()
    for number in range(3):
        expected = stream.send(Media(payload=AUDIO, timestamp=120 + 20 * number)).encode()
        assert messages.media(encoded_frame(AUDIO)) == expected
    assert messages.mark('a "mark"') == stream.send(Mark(name='a "mark"')).encode()
    stop = stream.send(Stop(call_sid="CA1", account_sid="AC1")).encode()
    assert messages.stop("CA1", "AC1") == stop


def test_lost_audio_leaves_a_hole():
    messages = StreamMessages("MZ1", first_timestamp=0)
    messages.media(encoded_frame(AUDIO))
    messages.skip_media()

    assert b'"chunk":"2","timestamp":"40"' in messages.media(encoded_frame(AUDIO))
