"""The bot's audio as it goes on behind the output."""

from dataclasses import dataclass

from pipecat.frames.frames import SystemFrame, TTSAudioRawFrame

__all__ = ["HeardAudioFrame"]


@dataclass
class HeardAudioFrame(SystemFrame, TTSAudioRawFrame):
    """Some of the bot's speech that the caller has heard, pushed when they have.

    A system frame, so that an interruption does not drop it, and the end of speaking does not
    overtake it, on their way to a recorder.
    """
