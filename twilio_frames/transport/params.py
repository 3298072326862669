"""How a Twilio transport behaves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loguru import logger
from pipecat.transports.base_transport import TransportParams
from pydantic import ValidationError

from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_known, check_settings, wrong_kind
from twilio_frames.processors.replies.apology import APOLOGY

_ONE_CHANNEL = "a phone line has one channel each way"
_ONE_LISTENER = "a media stream has one listener"
_NO_VIDEO = "a phone line carries no video"
# What Pipecat knows and no phone line can do: what stands there instead of it, and why.
IMPOSSIBLE: dict[str, tuple[Any, str]] = {
    "audio_out_channels": (1, _ONE_CHANNEL),
    "audio_in_channels": (1, _ONE_CHANNEL),
    "audio_out_destinations": ([], _ONE_LISTENER),
    "video_in_enabled": (False, _NO_VIDEO),
    "video_in_sources": ({}, _NO_VIDEO),
    "video_out_enabled": (False, _NO_VIDEO),
    "video_out_destinations": ([], _NO_VIDEO),
}
# What makes no difference.
WITHOUT_EFFECT = {
    "audio_out_sample_rate": "a phone line has 8000 Hz, to which audio of any rate is brought",
    "audio_out_bitrate": "a phone line has 64 kbit/s",
    "audio_out_10ms_chunks": "messages hold 100 ms",
    "audio_out_auto_silence": "silence is never sent",
    "audio_out_write_timeout_secs": "`send_timeout_secs` is the limit here",
    "audio_in_stream_on_start": "the caller is heard from the start",
}

_IN_FRONT = "put `PhoneVAD()` from `twilio_frames.processors.vad` right behind `transport.input()`"
_NO_NEED = "leave it out: the transport speaks Twilio's protocol itself"
# What stock bots have that is none of these, and what does its part here.
INSTEAD = {
    "add_wav_header": _NO_NEED,
    "serializer": _NO_NEED,
    "fixed_audio_packet_size": _NO_NEED,
    "session_timeout": "use `time_limit_secs`",
    "ws_close_timeout": "use `close_timeout_secs`",
    "allowed_origins": "leave it out: Twilio sends no origin; a `TwilioGuard` checks signatures",
    "vad_enabled": _IN_FRONT,
    "vad_analyzer": _IN_FRONT,
    "vad_audio_passthrough": _IN_FRONT,
    "turn_analyzer": f"{_IN_FRONT}, with `endpointing=Endpointing.SMART_TURN` for Smart Turn",
}
_ABOVE_ZERO = {
    "audio_in_sample_rate",
    "start_timeout_secs",
    "pipeline_timeout_secs",
    "processor_timeout_secs",
    "media_timeout_secs",
    "send_timeout_secs",
    "mark_timeout_secs",
    "time_limit_secs",
}
# A message holds 100 ms: with less ahead each would come when the one before it has been heard.
_AT_LEAST = {"lead_secs": 0.1, "function_rounds_limit": 1}


class TwilioParams(TransportParams):
    """Parameters of :class:`twilio_frames.transport.TwilioTransport`.

    Pipecat's own parameters stand beside these; their defaults are what a phone line wants:
    messages of 100 ms, and no silence after the end. The caller's audio comes at the rate the
    pipeline wants, which for :func:`twilio_frames.call.phone_worker` is the line's own.

    Parameters:
        lead_secs: How far ahead of the caller's ear Twilio is kept in audio, 0.1 or more: a stall
            of the event loop shorter than this is not heard. Grows by itself after longer ones. An
            interruption throws the lead away.
        holds: Whether the bot falls silent as soon as the caller makes a sound, before it is clear
            whether it is an interruption. If it is none, the bot says on what was held.
        hold_secs: How long after the end of the caller's sound the bot waits at most for that to
            become clear; longer by itself for a recogniser that says it takes longer.
        cut_mark: What stands behind the words that were heard of a reply that was cut off, for the
            LLM to see; empty for nothing.
        function_rounds_limit: How many rounds of function calls an LLM may make in a row without a
            word that the caller hears. Then it is not asked again in this turn, which is an error,
            and the caller hears the apology. None for as many as it likes.
        apology: Said, by the TTS service, where the LLM service has no apology of its own; empty to
            stay silent.
        start_timeout_secs: How long ``connected`` and ``start`` may take.
        pipeline_timeout_secs: How long the caller may hear nothing, from the stream's start, before
            the pipeline is up; then the call counts as failed. None for any time.
        processor_timeout_secs: How long a processor may be at one frame while the caller hears
            nothing; then the call counts as failed. None for any time.
        media_timeout_secs: How long nothing may come (50 messages a second are due) before the line
            counts as lost. Half way there a mark asks: a line that sends it back lives, and only
            sends no silence.
        send_timeout_secs: How long one message may take to be sent before the line counts as lost.
        mark_timeout_secs: How late a mark may be before the line counts as lost: a peer that
            stopped reading is noticed by it. Holds only for peers that have sent a mark back.
        close_timeout_secs: How long closing the socket may take.
        end_timeout_secs: How long behind its last word a pipeline that was asked to end may take
            before the line is closed all the same.
        transfer_timeout_secs: How long the stream is kept open for a transfer that is under way.
        playout_timeout_secs: How long the end of an utterance waits for its mark beyond the time
            the audio takes.
        time_limit_secs: How long a call may last; None for as long as Twilio lets it.
        audio_in_step_secs: How much of the caller's audio a frame holds, at least: what Twilio
            sends in pieces of 20 ms goes through all of a pipeline that often. 0 makes every piece
            a frame by itself. Silence of half a second and more comes 100 ms together while a VAD
            in the pipeline takes the caller for silent. A ``PhoneVAD`` directly behind the input
            takes its own ``step_secs`` of what is nearly silent together, 40 ms in the middle of
            speech, and everything else at once.
        longest_gap_secs: Holes in the caller's audio are filled with silence up to this length.

    Raises:
        ConfigurationError: A name is none of these, a value cannot work, or a phone line cannot
            fulfil it.
    """

    audio_in_enabled: bool = True
    audio_out_enabled: bool = True
    audio_in_sample_rate: int | None = None
    audio_out_sample_rate: int | None = 8000
    audio_out_10ms_chunks: int = 10
    audio_out_end_silence_secs: int = 0
    lead_secs: float = 0.4
    holds: bool = True
    hold_secs: float = 1.0
    cut_mark: str = "\N{EM DASH}"
    function_rounds_limit: int | None = 8
    apology: str = APOLOGY
    start_timeout_secs: float = 10.0
    pipeline_timeout_secs: float | None = 10.0
    processor_timeout_secs: float | None = 15.0
    media_timeout_secs: float = 5.0
    send_timeout_secs: float = 5.0
    mark_timeout_secs: float = 10.0
    close_timeout_secs: float = 2.0
    end_timeout_secs: float = 10.0
    transfer_timeout_secs: float = 10.0
    playout_timeout_secs: float = 2.0
    time_limit_secs: float | None = None
    audio_in_step_secs: float = 0.04
    longest_gap_secs: float = 5.0

    if not TYPE_CHECKING:  # Checkers go on knowing every name.

        def __init__(self, **settings: Any):
            check_known("TwilioParams", settings, type(self).model_fields, INSTEAD)
            _refuse_impossible(settings)
            try:
                super().__init__(**settings)
            except ValidationError as error:
                raise _spoken(error, type(self)) from None
            check_params(self)
            for name, reason in WITHOUT_EFFECT.items():
                usual = {TwilioParams.model_fields[name].default, None}
                if getattr(self, name) not in usual:
                    logger.warning(f"TwilioParams.{name} has no effect: {reason}")

        def __setattr__(self, name: str, value: object):
            check_known("TwilioParams", [name], type(self).model_fields, _INSTEAD_OF_SETTING)
            super().__setattr__(name, value)


_INSTEAD_OF_SETTING = INSTEAD | {
    "add_wav_header": "`create_transport()` makes Pipecat's own transports; put "
    "`TwilioTransport(runner_args.websocket, params)` in its place"
}


def check_params(params: TwilioParams) -> None:
    """Refuses what no phone line can fulfil, whether it was passed or assigned.

    Raises:
        ConfigurationError: If there is such a parameter, or one that cannot work.
    """
    if not isinstance(params, TwilioParams):
        raise ConfigurationError(
            f"expected TwilioParams, got {type(params).__name__}: they take the place of Pipecat's"
        )
    _refuse_impossible(dict(params))
    check_settings(params, above_zero=_ABOVE_ZERO, at_least=_AT_LEAST)
    mixer = params.audio_out_mixer
    if isinstance(mixer, Mapping) and set(mixer) != {None}:
        raise ConfigurationError(
            "expected one mixer, or {None: mixer}, at `audio_out_mixer`, got mixers of other "
            f"destinations: {_ONE_LISTENER}"
        )


def _refuse_impossible(settings: Mapping[str, Any]) -> None:
    for name, (possible, reason) in IMPOSSIBLE.items():
        if (got := settings.get(name, possible)) != possible:
            raise ConfigurationError(f"expected {possible!r} at `{name}`, got {got}: {reason}")


def _spoken(error: ValidationError, kind: type[TwilioParams]) -> ConfigurationError:
    first = error.errors(include_url=False, include_input=True)[0]
    name = str(first["loc"][0])
    reason = wrong_kind(name, first["input"], kind.model_fields[name].annotation)
    return ConfigurationError(reason or f"expected another value at {name}: {first['msg']}")
