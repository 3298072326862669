"""A Realtime session's settings for the phone line."""

from loguru import logger
from pipecat.services.openai.realtime import events

_MULAW = "audio/pcmu"


def phone_session(
    properties: events.SessionProperties | None,
) -> events.SessionProperties:
    """The session that was asked for, with mu-law both ways.

    Where nothing is said of them, the caller's words are transcribed, and turns are the client's.

    Args:
        properties: What was asked for; not changed.
    """
    session = (properties or events.SessionProperties()).model_copy(deep=True)
    session.audio = session.audio or events.AudioConfiguration()
    heard = session.audio.input = session.audio.input or events.AudioInput()
    spoken = session.audio.output = session.audio.output or events.AudioOutput()
    for format in (heard.format, spoken.format):
        if format is not None and format.type != _MULAW:
            logger.warning(
                f"expected {_MULAW}, got {format.type} in the session's settings: the phone line "
                "carries mu-law, so that is asked for; leave the format out"
            )
    heard.format = spoken.format = events.PCMUAudioFormat()
    if heard.transcription is None:
        heard.transcription = events.InputAudioTranscription()
    if heard.turn_detection is None:
        heard.turn_detection = False
    return session
