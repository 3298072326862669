"""What Deepgram is asked for in the address of a stream, and what it refuses of that.

https://developers.deepgram.com/reference/speech-to-text/listen-streaming
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from twilio_frames.audio import SAMPLE_RATE

_ENCODINGS = (
    *("linear16", "linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb"),
    *("opus", "ogg-opus", "speex", "g729"),
)
_RAW = frozenset({"linear16", "linear32", "alaw", "mulaw"})
_MODELS = ("nova-3", "nova-2", "nova", "enhanced", "base", "whisper")
_OLD_MODELS = (
    *("general", "meeting", "phonecall", "finance", "conversationalai", "voicemail"),
    *("video", "custom"),
)
_FLAGS = (
    *("interim_results", "smart_format", "punctuate", "numerals", "diarize", "dictation"),
    *("detect_entities", "multichannel", "profanity_filter", "vad_events", "filler_words"),
    "mip_opt_out",
)


class BadQueryError(ValueError):
    """Deepgram would refuse this with HTTP 400; the text is its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenQuery:
    """What a stream was asked for.

    Parameters:
        encoding: How the audio is encoded.
        sample_rate: Samples a second.
        channels: How many channels it has.
        model: Who listens.
        keyterms: What is listened for.
        interim_results: Whether words are told before they are final.
        is_formatted: Whether the words have capitals and punctuation.
        vad_events: Whether the begin of speech is told.
        endpointing: Seconds of silence that end an utterance; None if none does.
        utterance_end: Seconds without a word after which that is told; None if it is not.
    """

    encoding: str
    sample_rate: int
    channels: int
    model: str
    keyterms: tuple[str, ...]
    interim_results: bool
    is_formatted: bool
    vad_events: bool
    endpointing: float | None
    utterance_end: float | None

    @property
    def can_be_heard(self) -> bool:
        """Whether this server understands such audio: mu-law or 16-bit PCM at 8 kHz, mono."""
        is_known = self.encoding in ("mulaw", "linear16") and self.channels == 1
        return is_known and self.sample_rate == SAMPLE_RATE


def read_query(parameters: Mapping[str, Sequence[str]]) -> ListenQuery:
    """Reads the query of a stream's address.

    Args:
        parameters: Each parameter with all its values.

    Raises:
        BadQueryError: Where Deepgram would refuse it.
    """
    one = {name: values[-1] for name, values in parameters.items() if values}
    flags = {name: _flag(one, name) for name in _FLAGS}
    encoding = one.get("encoding", "")
    if encoding and encoding not in _ENCODINGS:
        raise BadQueryError(f"Bad Request: Unsupported encoding: {encoding}.")
    if encoding in _RAW and "sample_rate" not in one:
        raise BadQueryError("Bad Request: sample_rate is required for raw audio encodings.")
    return ListenQuery(
        encoding=encoding,
        sample_rate=_number(one, "sample_rate", 0, lambda rate: 8000 <= rate <= 48000),
        channels=_number(one, "channels", 1, lambda count: count >= 1),
        model=_model(one, parameters),
        keyterms=tuple(parameters.get("keyterm", ())),
        interim_results=flags["interim_results"],
        is_formatted=flags["smart_format"] or flags["punctuate"],
        vad_events=flags["vad_events"],
        endpointing=_endpointing(one),
        utterance_end=_utterance_end(one, interim_results=flags["interim_results"]),
    )


def _model(one: Mapping[str, str], parameters: Mapping[str, Sequence[str]]) -> str:
    model = one.get("model", "base")
    family = next((name for name in _MODELS if model.startswith(name)), None)
    if family is None and model not in _OLD_MODELS:
        raise BadQueryError("Bad Request: No such model/language/tier combination found.")
    # https://github.com/deepgram/deepgram-js-sdk/issues/474
    if family == "nova-3" and "keywords" in one:
        raise BadQueryError("Bad Request: Keywords are not supported for Nova-3. Use keyterm.")
    if len(parameters.get("keyterm", ())) > 100:
        raise BadQueryError("Bad Request: Keyterm limit exceeded.")
    return model


def _flag(one: Mapping[str, str], name: str) -> bool:
    value = one.get(name, "false")
    if value not in ("true", "false"):
        raise BadQueryError(f"Bad Request: {name} must be true or false.")
    return value == "true"


def _number(one: Mapping[str, str], name: str, default: int, allows: Callable[[int], bool]) -> int:
    if name not in one:
        return default
    value = one[name]
    if not value.isdecimal() or not allows(int(value)):
        raise BadQueryError(f"Bad Request: {name} is out of range.")
    return int(value)


def _endpointing(one: Mapping[str, str]) -> float | None:
    """https://developers.deepgram.com/docs/endpointing."""
    value = one.get("endpointing", "true")
    if value == "false":
        return None
    if value == "true":
        return 0.01
    return _number(one, "endpointing", 0, lambda _: True) / 1000


def _utterance_end(one: Mapping[str, str], *, interim_results: bool) -> float | None:
    """https://developers.deepgram.com/docs/utterance-end."""
    if "utterance_end_ms" not in one:
        return None
    if not interim_results:
        raise BadQueryError("Bad Request: utterance_end_ms requires interim_results=true.")
    shortest = 1000
    return _number(one, "utterance_end_ms", 0, lambda length: length >= shortest) / 1000
