"""An output queue's audio, with a voice's words laid on it."""

from collections.abc import Iterable

from pipecat.frames.frames import AggregatedTextFrame, TTSStartedFrame, TTSTextFrame

from tests.pipecat_versions import told_word
from tests.transport.bots import tone
from twilio_frames.audio import encode_mulaw, mulaw_silence
from twilio_frames.processors.words import WordAligner

MILLISECOND = 1_000_000


class Audio:
    """The audio of an output queue, and the words laid on it."""

    def __init__(self):
        self.mulaw = b""
        self.laid: list[tuple[str, int]] = []
        self.layer = WordAligner(self._lay, lambda begin, end: self.mulaw[begin:end])

    def _lay(self, frame: AggregatedTextFrame, end: int) -> None:
        self.laid.append((frame.text, end))

    def say(self, seconds: float, *, pause: float = 0.0, at: int = 0, context: str = "c") -> None:
        begin = len(self.mulaw)
        self.mulaw += encode_mulaw(tone(seconds)) + mulaw_silence(pause)
        self.layer.audio(context, begin, len(self.mulaw), at * MILLISECOND)

    def begin(self, *, context: str = "c", interruptible: bool = True) -> None:
        frame = TTSStartedFrame(context)
        frame.interruptible = interruptible
        self.layer.start(frame)

    def announce(self, text: str, *, context: str = "c") -> int:
        frame = AggregatedTextFrame(text, "sentence")
        frame.context_id = context
        frame.will_be_spoken = True
        self.layer.announce(frame)
        return frame.id

    def word(self, text: str, pts: int, *, context: str = "c", of: int | None = None) -> None:
        frame = told_word(text, of)
        frame.pts = pts * MILLISECOND
        frame.context_id = context
        self.layer.text(frame)

    def sentence(self, text: str, *, context: str = "c", runs_on: bool = False) -> None:
        frame = TTSTextFrame(text, "sentence")
        frame.context_id, frame.includes_inter_frame_spaces = context, runs_on
        self.layer.text(frame)


def near(laid: Iterable[tuple[str, int]], expected: list[tuple[str, int]]) -> bool:
    laid = list(laid)
    return [word for word, _ in laid] == [word for word, _ in expected] and all(
        abs(end - wanted) <= 80 for (_, end), (_, wanted) in zip(laid, expected, strict=True)
    )
