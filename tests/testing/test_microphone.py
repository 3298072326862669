"""What somebody says into a microphone, made even."""

import pytest

from twilio_frames.audio import MULAW_SILENCE
from twilio_frames.testing.callers.voice import FRAME_BYTES
from twilio_frames.testing.softphone.microphone import MicrophoneVoice

LOUD = bytes([0x10])
QUIET = bytes([MULAW_SILENCE])


def voice() -> MicrophoneVoice:
    return MicrophoneVoice(noise_level=None)


def said(microphone: MicrophoneVoice, frames: int) -> bytes:
    return b"".join(microphone.next_frame() for _ in range(frames))


def speak(microphone: MicrophoneVoice, frames: int, sound: bytes = LOUD) -> bytes:
    """Each 20 ms a frame comes, and one is due."""
    heard = b""
    for _ in range(frames):
        microphone.hear(sound * FRAME_BYTES)
        heard += microphone.next_frame()
    return heard


def test_nothing_is_lost_of_what_comes_steadily():
    microphone = voice()

    heard = speak(microphone, 100)

    # Two frames wait before the first is said.
    assert heard == QUIET * FRAME_BYTES + LOUD * 99 * FRAME_BYTES
    assert microphone.waiting == FRAME_BYTES
    assert microphone.holes == 0


@pytest.mark.parametrize("size", [1, 100, 161, 800])
def test_lengths_of_messages_do_not_matter(size: int):
    microphone = voice()
    sound = bytes(code for code in range(10, 110) for _ in range(16))

    for begin in range(0, len(sound), size):
        microphone.hear(sound[begin : begin + size])

    assert said(microphone, 10) == sound


def test_lump_that_comes_late_leaves_a_hole_and_then_more_waits():
    microphone = voice()
    speak(microphone, 20)
    microphone.next_frame()  # what waited
    assert said(microphone, 3) == QUIET * 3 * FRAME_BYTES

    heard = speak(microphone, 3)

    assert heard == QUIET * 2 * FRAME_BYTES + LOUD * FRAME_BYTES
    assert microphone.holes == 1


def test_muted_microphone_makes_nothing_wait():
    microphone = voice()
    for _ in range(5):
        speak(microphone, 20)
        said(microphone, 60)

    assert speak(microphone, 2) == QUIET * FRAME_BYTES + LOUD * FRAME_BYTES


def test_what_waits_without_need_is_left_out_in_a_pause():
    """A sound card that is faster than the line's clock, or a browser that stood still."""
    microphone = voice()
    speak(microphone, 5)
    microphone.hear(LOUD * FRAME_BYTES * 10)

    assert speak(microphone, 100) == LOUD * 100 * FRAME_BYTES
    assert microphone.waiting == 11 * FRAME_BYTES

    speak(microphone, 100, QUIET)
    assert microphone.waiting <= 2 * FRAME_BYTES


def test_of_what_was_held_up_for_long_the_end_is_said():
    microphone = voice()
    speak(microphone, 5)

    microphone.hear(QUIET * FRAME_BYTES * 500 + LOUD * FRAME_BYTES * 2)

    assert said(microphone, 2) == LOUD * 2 * FRAME_BYTES


def test_bad_moment_is_forgotten_in_time():
    microphone = voice()
    for _ in range(4):
        speak(microphone, 20)
        said(microphone, 3)
    assert microphone.holes > 1

    speak(microphone, 50 * 60, QUIET)

    assert microphone.waiting <= 2 * FRAME_BYTES


def test_line_without_a_microphone_is_a_quiet_room():
    noise = MicrophoneVoice().next_frame()

    assert len(noise) == FRAME_BYTES
    assert noise != QUIET * FRAME_BYTES
