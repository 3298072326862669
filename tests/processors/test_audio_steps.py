"""The caller's audio as fewer and longer frames."""

import asyncio

from twilio_frames.frames import MulawInputFrame
from twilio_frames.processors.vad import AudioSteps


def piece(number: int, length: int = 160) -> MulawInputFrame:
    mulaw = bytes([number]) * length
    return MulawInputFrame(
        audio=2 * mulaw, sample_rate=8000, num_channels=1, mulaw=mulaw, timestamp=20 * number
    )


class Pushed(list[MulawInputFrame]):
    async def push(self, frame: MulawInputFrame) -> None:
        self.append(frame)


async def test_two_pieces_are_one_frame():
    pushed = Pushed()
    steps = AudioSteps(0.04, pushed.push)

    for number in range(5):
        await steps.take(piece(number))
    await steps.flush()

    assert [frame.timestamp for frame in pushed] == [0, 40, 80]
    assert b"".join(frame.mulaw for frame in pushed) == b"".join(piece(n).mulaw for n in range(5))
    assert b"".join(frame.audio for frame in pushed) == b"".join(piece(n).audio for n in range(5))


async def test_last_piece_does_not_wait_for_one_that_never_comes():
    pushed = Pushed()
    steps = AudioSteps(0.04, pushed.push)

    await steps.take(piece(1))
    assert not pushed
    await asyncio.sleep(0.1)

    assert [frame.timestamp for frame in pushed] == [20]


async def test_long_piece_goes_on_at_once():
    pushed = Pushed()
    steps = AudioSteps(0.04, pushed.push)

    await steps.take(piece(1, 800))
    await steps.flush()

    assert [len(frame.mulaw) for frame in pushed] == [800]


async def test_each_piece_is_a_frame_where_none_is_kept():
    pushed = Pushed()
    steps = AudioSteps(0.0, pushed.push)

    for number in range(3):
        await steps.take(piece(number))

    assert [frame.timestamp for frame in pushed] == [0, 20, 40]


async def test_audio_behind_a_filter_has_no_mulaw_and_is_counted_all_the_same():
    pushed = Pushed()
    steps = AudioSteps(0.04, pushed.push)

    for number in range(2):
        filtered = piece(number)
        filtered.mulaw = b"" if number else filtered.mulaw
        await steps.take(filtered)

    assert [(len(frame.audio), frame.mulaw) for frame in pushed] == [(640, b"")]


async def test_speech_goes_on_sooner_along_with_the_silence_before_it():
    pushed = Pushed()
    steps = AudioSteps(0.1, pushed.push)

    await steps.take(piece(0))
    for number in (1, 2, 3):
        await steps.take(piece(number), at_most=0.04)
    await steps.take(piece(4), at_most=0.0)

    assert [(frame.timestamp, len(frame.mulaw)) for frame in pushed] == [
        (0, 320),
        (40, 320),
        (80, 160),
    ]
