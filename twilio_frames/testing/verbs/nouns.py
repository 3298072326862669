"""TwiML's verbs and nouns, as values. Pure.

Source: https://www.twilio.com/docs/voice/twiml
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectStream:
    """``<Connect><Stream>``: hands the call to a bot until its socket closes."""

    url: str
    name: str = ""
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    track: str = "inbound_track"
    status_callback: str = ""
    status_callback_method: str = "POST"
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStream:
    """``<Start><Stream>``: lets a server listen to the call while it goes on."""

    url: str
    name: str = ""
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    track: str = "inbound_track"
    status_callback: str = ""
    status_callback_method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopStream:
    """``<Stop><Stream name>``: ends what :class:`StartStream` began."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRecording:
    """``<Start><Recording>``, and what the REST API can ask of a recording as well.

    Parameters:
        track: ``inbound``, ``outbound`` or ``both``.
        channels: ``mono`` or ``dual``.
        trim: ``do-not-trim``, or ``trim-silence`` at both ends.
        events: Of ``in-progress``, ``completed``, ``absent``.
        source: Who asked for it, in Twilio's words.
    """

    track: str = "both"
    channels: str = "dual"
    trim: str = "do-not-trim"
    status_callback: str = ""
    status_callback_method: str = "POST"
    events: tuple[str, ...] = ("completed",)
    source: str = "StartCallRecordingTwiML"


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """``<Say>``: words for the caller.

    Parameters:
        loop: How often; 0 for ever.
    """

    text: str = field(repr=False)
    loop: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """``<Play>``: a file for the caller."""

    url: str
    loop: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """``<Pause>``: so many seconds of silence."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayDigits:
    """``<Play digits>``: tones; ``w`` is half a second of silence."""

    digits: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """``<Gather>``: waits for keys or words, and hands them to a webhook.

    Parameters:
        prompts: What is played meanwhile; a key or a word cuts it off.
        inputs: Of ``dtmf`` and ``speech``.
        timeout: Seconds of nothing after which it is over.
        speech_timeout: Seconds of silence that end a spoken answer.
        number_of_digits: So many keys are enough; None for any number of them.
    """

    prompts: "tuple[Say | Play | Pause, ...]" = ()
    inputs: tuple[str, ...] = ("dtmf",)
    timeout: float = 5.0
    speech_timeout: float = 5.0
    number_of_digits: int | None = None
    finish_on_key: str = "#"
    asks_on_empty_result: bool = False
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pay:
    """``<Pay>``: a caller pays by card."""

    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """``<Record>``: the caller leaves a message.

    Parameters:
        timeout: Seconds of silence that end it.
        finish_on_key: Keys that end it.
        max_length: Seconds that it may take.
        plays_beep: Whether a beep is heard before it.
    """

    timeout: float = 5.0
    finish_on_key: str = "1234567890*#"
    max_length: float = 3600.0
    plays_beep: bool = True
    trim: str = "trim-silence"
    status_callback: str = ""
    status_callback_method: str = "POST"
    events: tuple[str, ...] = ("completed",)
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """``<Redirect>``: more TwiML from elsewhere."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup:
    """``<Hangup>``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """``<Leave>``: ends the stay in a queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """``<Reject>``: the call is not answered."""

    reason: str = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One noun of ``<Dial>``: somebody to be called.

    Parameters:
        kind: ``number``, ``client`` or ``sip``.
        url: TwiML for the called party, before both are connected.
        send_digits: Keys to be pressed when the call is answered.
    """

    kind: str
    address: str = field(repr=False)
    url: str = ""
    method: str = "POST"
    send_digits: str = field(default="", repr=False)
    status_callback: str = ""
    status_callback_method: str = "POST"
    events: tuple[str, ...] = ("completed",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConferenceRoom:
    """``<Conference>``: where a call meets others.

    Parameters:
        has_music: Whether those hear music who wait for it to begin.
    """

    name: str
    is_muted: bool = False
    starts_on_enter: bool = True
    ends_on_exit: bool = False
    max_participants: int = 250
    has_music: bool = True
    status_callback: str = ""
    status_callback_method: str = "POST"
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """``<Dial>``: connects the call to others.

    Parameters:
        targets: Whom to call, all at once unless ``is_sequential``.
        conference: The conference to enter instead.
        queue: The queue whose next call to take instead.
        timeout: Seconds it rings.
        time_limit: Seconds both may talk.
        record: Twilio's word for when and how to record.
    """

    targets: tuple[Target, ...] = ()
    conference: ConferenceRoom | None = None
    queue: str = ""
    timeout: float = 30.0
    time_limit: float = 4 * 3600.0
    caller_id: str = field(default="", repr=False)
    answers_on_bridge: bool = False
    hangs_up_on_star: bool = False
    is_sequential: bool = False
    record: str = "do-not-record"
    recording_status_callback: str = ""
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """``<Enqueue>``: waits until another call takes this one out of a queue."""

    queue: str
    wait_url: str = ""
    wait_url_method: str = "POST"
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """A verb, or a noun in it, that is noted and passed over."""

    name: str


Verb = (
    ConnectStream
    | StartStream
    | StopStream
    | StartRecording
    | Say
    | Play
    | Pause
    | PlayDigits
    | Gather
    | Pay
    | Record
    | Redirect
    | Hangup
    | Leave
    | Reject
    | Dial
    | Enqueue
    | Unsupported
)
