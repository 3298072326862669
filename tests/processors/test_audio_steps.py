"""The caller's audio in fewer and longer pieces."""

import asyncio

from twilio_frames.frames import MulawInputFrame
from twilio_frames.processors.vad import AudioSteps


class Steps(AudioSteps[str]):
    """Pieces of text, 20 ms each, and what became of those that were late."""

    def __init__(self, secs: float):
        self.late: list[list[str]] = []
        super().__init__(secs, self._take_late)

    async def _take_late(self, pieces: list[str]) -> None:
        self.late.append(pieces)

    def takes(self, *pieces: str, at_most: float = 1.0) -> list[str]:
        """What goes on with each of these pieces."""
        return ["".join(self.take(piece, 0.02, at_most=at_most)) for piece in pieces]


async def test_two_pieces_go_on_together():
    steps = Steps(0.04)

    assert steps.takes(*"abcde") == ["", "ab", "", "cd", ""]
    assert steps.rest() == ["e"]
    assert steps.rest() == []


async def test_last_piece_does_not_wait_for_one_that_never_comes():
    steps = Steps(0.04)

    assert steps.takes("a") == [""]
    await asyncio.sleep(0.1)

    assert steps.late == [["a"]]
    assert steps.takes(*"bc") == ["", "bc"]


async def test_what_has_gone_on_is_not_late():
    steps = Steps(0.04)

    steps.takes(*"ab")
    steps.takes("c")
    steps.rest()
    await asyncio.sleep(0.1)

    assert steps.late == []


async def test_long_piece_goes_on_at_once():
    assert Steps(0.04).take("long", 0.1) == ["long"]


async def test_each_piece_goes_on_where_none_is_kept():
    assert Steps(0.0).takes(*"abc") == ["a", "b", "c"]


async def test_speech_goes_on_sooner_along_with_the_silence_before_it():
    steps = Steps(0.1)

    assert steps.takes("a") == [""]
    assert steps.takes(*"bcd", at_most=0.04) == ["ab", "", "cd"]
    assert steps.takes("e", at_most=0.0) == ["e"]


def test_frames_become_one_that_begins_where_the_first_does():
    pieces = [
        MulawInputFrame(
            audio=bytes([number]) * 320,
            sample_rate=8000,
            num_channels=1,
            mulaw=bytes([number]) * 160,
            timestamp=20 * number,
        )
        for number in (1, 2)
    ]

    frame = MulawInputFrame.joined(pieces)

    assert (frame.timestamp, frame.mulaw) == (20, b"\x01" * 160 + b"\x02" * 160)
    assert frame.audio == b"\x01" * 320 + b"\x02" * 320
    pieces[0].mulaw = b""
    assert MulawInputFrame.joined(pieces).mulaw == b"", "behind a filter it has none"
