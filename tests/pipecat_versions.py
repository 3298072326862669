"""What the oldest Pipecat that is supported lacks, and this package cannot make good."""

from importlib.metadata import version

import pytest
from pipecat.frames import frames
from pipecat.frames.frames import TTSTextFrame

OLDER_MODEL = "carries an older Silero model, which is less certain of speech at first"
UNTOLD_SENTENCE = "does not say of which sentence a word is, so none is known to be skipped"
HELD_SETUP = "goes on setting up a pipeline that is cancelled, until its own time-out"
RESPONSE_END = (
    "has a response end where a voice with word times falls silent: early at a pause or a filler, "
    "not at all where the voice fails"
)
_INSTALLED = tuple(map(int, version("pipecat-ai").split(".")[:2]))


def unless_pipecat_112(lack: str) -> pytest.MarkDecorator:
    """Skips a test with Pipecat 1.12.

    Args:
        lack: What that does not do.
    """
    return pytest.mark.skipif(_INSTALLED < (1, 13), reason=f"Pipecat 1.12 {lack}")


needs_output_sound = pytest.mark.skipif(
    not hasattr(frames, "VolumeFrame"),
    reason="Pipecat knows the volume and the filter of the bot's sound since 1.13",
)


def told_word(text: str, of: int | None) -> TTSTextFrame:
    """A word as a voice with word times tells it.

    Args:
        text: The word.
        of: Which announced text it is of; not said by Pipecat 1.12.
    """
    frame = TTSTextFrame(text, "word")
    if hasattr(frame, "segment_id"):
        frame.segment_id = of
    return frame
