"""A Realtime session's settings for the phone line."""

from dataclasses import fields, replace

from loguru import logger
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMSettings
from pipecat.utils.types import is_given

_MODEL = "gpt-realtime-2.1"
_REASONING_MODELS = "gpt-realtime-2"
_PROMPTLESS_TRANSCRIBER = "gpt-realtime-whisper"
_MULAW = "audio/pcmu"


def complete_settings(asked: OpenAIRealtimeLLMSettings | None) -> OpenAIRealtimeLLMSettings:
    """The settings that were asked for, on the phone line's; what nobody asked for is None."""
    asked = asked or OpenAIRealtimeLLMSettings()
    given = asked.session_properties
    names = {field.name for field in fields(asked)} - {"extra", "session_properties"}
    settings = OpenAIRealtimeLLMSettings(
        **{**dict.fromkeys(names), "filter_incomplete_user_turns": False, "model": _MODEL},
        session_properties=events.SessionProperties(),
    )
    session = phone_session(given if is_given(given) else None)
    settings.apply_update(replace(asked, session_properties=session))
    return settings


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
    if heard.transcription.model == _PROMPTLESS_TRANSCRIBER and heard.transcription.prompt:
        heard.transcription.prompt = None
        logger.warning(f"expected no prompt for {_PROMPTLESS_TRANSCRIBER}, got one: it is left out")
    return session


def without_unsupported(session: events.SessionProperties) -> events.SessionProperties:
    """The session without what its model would refuse all of it for."""
    if session.reasoning is None or not session.model or _REASONING_MODELS in session.model:
        return session
    logger.warning(f"expected no `reasoning` for {session.model}, got some: it is left out")
    return session.model_copy(update={"reasoning": None})
