"""How a Twilio transport behaves."""

from collections.abc import Mapping
from typing import Any

from loguru import logger
from pipecat.transports.base_transport import TransportParams
from pydantic import Field

from twilio_frames.errors import ConfigurationError
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


class TwilioParams(TransportParams):
    """Parameters of :class:`twilio_frames.transport.TwilioTransport`.

    Pipecat's own parameters stand beside these; their defaults are what a phone line wants:
    messages of 100 ms, and no silence after the end. The caller's audio comes at the rate the
    pipeline wants, which for :func:`twilio_frames.call.phone_worker` is the line's own.

    Parameters:
        lead_secs: How far ahead of the caller's ear Twilio is kept in audio: a stall of the event
            loop shorter than this is not heard. Grows by itself after longer ones. An interruption
            throws the lead away.
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
    function_rounds_limit: int | None = Field(default=8, ge=1)
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


def check_params(params: TwilioParams) -> None:
    """Warns of parameters that make no difference.

    Raises:
        ConfigurationError: If there is one that a phone line cannot fulfil.
    """
    for name, (possible, reason) in IMPOSSIBLE.items():
        if getattr(params, name) != possible:
            got = getattr(params, name)
            raise ConfigurationError(f"expected {possible!r} at `{name}`, got {got}: {reason}")
    mixer = params.audio_out_mixer
    if isinstance(mixer, Mapping) and set(mixer) != {None}:
        raise ConfigurationError(
            "expected one mixer, or {None: mixer}, at `audio_out_mixer`, got mixers of other "
            f"destinations: {_ONE_LISTENER}"
        )
    for name, reason in WITHOUT_EFFECT.items():
        usual = {TwilioParams.model_fields[name].default, None}
        if getattr(params, name) not in usual:
            logger.warning(f"TwilioParams.{name} has no effect: {reason}")
