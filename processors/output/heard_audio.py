"""The bot's audio as it goes on behind the output."""

from dataclasses import dataclass

from pipecat.frames.frames import OutputAudioRawFrame, SystemFrame, TTSAudioRawFrame

__all__ = ["HeardAudioFrame", "HeardSoundFrame"]


@dataclass
class HeardAudioFrame(SystemFrame, TTSAudioRawFrame):
    """Some of the bot's speech that the caller has heard, pushed when they have.

    A system frame, so that an interruption does not drop it, and the end of speaking does not
    overtake it, on their way to a recorder.
    """


@dataclass
class HeardSoundFrame(SystemFrame, OutputAudioRawFrame):
    """The same for sound that is no speech, and came in its turn: a jingle, music on hold."""
