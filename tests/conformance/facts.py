"""The facts of Twilio's documentation, each tied to the test that holds the simulator to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

DOCS = "https://www.twilio.com/docs"
MESSAGES = f"{DOCS}/voice/media-streams/websocket-messages"
OVERVIEW = f"{DOCS}/voice/media-streams"
STREAM = f"{DOCS}/voice/twiml/stream"
CONNECT = f"{DOCS}/voice/twiml/connect"
SECURITY = f"{DOCS}/usage/security#validating-requests"
WEBHOOK_SECURITY = f"{DOCS}/usage/webhooks/webhooks-security"
SHARED_KEYS = f"{DOCS}/usage/webhooks/webhook-shared-keys"
OVERRIDES = f"{DOCS}/usage/webhooks/webhooks-connection-overrides"
CALLS = f"{DOCS}/voice/api/call-resource"
ACCOUNT = f"{DOCS}/iam/api/account"
NUMBERS = f"{DOCS}/phone-numbers/api/incomingphonenumber-resource"
RECORDINGS = f"{DOCS}/voice/api/recording"
STREAMS = f"{DOCS}/voice/api/stream-resource"
DETECTION = f"{DOCS}/voice/answering-machine-detection"
STIR = f"{DOCS}/voice/trusted-calling-with-shakenstir"
VOICE = f"{DOCS}/voice/twiml#request-parameters"
SIP_IN = f"{DOCS}/voice/api/receiving-sip"
STRANGE_NUMBERS = "https://support.twilio.com/hc/en-us/articles/223179988"
RATES = "https://help.twilio.com/articles/223180028"


def verb(name: str) -> str:
    """Where a TwiML verb or noun is documented."""
    return f"{DOCS}/voice/twiml/{name}"


def error(code: int) -> str:
    """Where an error is documented."""
    return f"{DOCS}/api/errors/{code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One documented fact.

    Parameters:
        area: Under which of :data:`AREAS` it stands.
        text: The fact, in a sentence.
        source: Where Twilio says so.
        test: The test that holds the simulator to it; empty where it is not simulated.
        instead: What the simulator does in its place.
    """

    area: str
    text: str
    source: str
    test: str = ""
    instead: str = ""


AREAS = {
    "socket": "The WebSocket",
    "messages": "Messages",
    "streams": "Streams in TwiML and REST",
    "verbs": "Verbs",
    "connecting": "Dial, Conference, Enqueue",
    "webhooks": "Webhooks and callbacks",
    "rest_api": "Calls over REST",
    "recordings": "Recordings over REST",
    "refusals": "Rates and refusals",
    "machine_detection": "Machine detection",
}
"""Headings, by the tests' modules."""

KEPT: dict[str, Fact] = {}
"""What the simulator keeps, by the test's name, in the order of the tests; see :func:`fact`."""

T = TypeVar("T", bound=Callable[..., object])


def fact(text: str, source: str) -> Callable[[T], T]:
    """Ties a test to the fact it is named after."""

    def tie(test: T) -> T:
        area = test.__module__.rpartition("test_")[2]
        KEPT[test.__name__] = Fact(area=area, text=text, source=source, test=test.__name__)
        return test

    return tie


def _missing(area: str, text: str, source: str, instead: str) -> Fact:
    return Fact(area=area, text=text, source=source, instead=instead)


NOT_SIMULATED = [
    _missing(
        "socket",
        "A stream's URL must be `wss`, on port 443.",
        STREAM,
        "`wss` is required of other machines; on this one `ws` and any port do.",
    ),
    _missing(
        "socket",
        "Streams are to be had in the regions US1, IE1 and AU1.",
        MESSAGES,
        "There are no regions.",
    ),
    _missing(
        "socket",
        "Twilio connects from any public address.",
        OVERVIEW,
        "It connects from this machine.",
    ),
    _missing(
        "socket",
        "31900, 31940, 31942, 31952 and 31960 tell of unknown errors and of connectors.",
        error(31940),
        "Only 31900 is given, for two rules that have no code of their own.",
    ),
    _missing(
        "socket",
        "31924 tells of a violation of the WebSocket protocol, such as a fragmented control frame.",
        error(31924),
        "It is told as 31903, a lost connection.",
    ),
    _missing(
        "streams",
        "The four forked tracks are shared with SIPREC, transcription and asynchronous detection.",
        OVERVIEW,
        "Forked streams have them for themselves.",
    ),
    _missing(
        "verbs",
        "`<Say>` has voices and languages.",
        verb("say"),
        "One voice reads everything, espeak-ng's.",
    ),
    _missing(
        "verbs",
        "`<Pay>` asks for a card, and charges it by a connector.",
        verb("pay"),
        "Nothing is asked: `action` is told the `Result` of `AccountRules.payment_result`.",
    ),
    _missing(
        "verbs",
        "`ringTone` chooses a country's ringing, `waitUrl` the music, `beep` who hears one.",
        verb("conference"),
        "North America's ringing, one tune, and no beeps.",
    ),
    _missing(
        "verbs",
        "`<Refer>`, `<Siprec>`, `<Transcription>`, `<ConversationRelay>` and "
        "`<VirtualAgent>` are verbs and nouns too.",
        verb("connect"),
        "They are noted in the call's log and passed over.",
    ),
    _missing(
        "verbs",
        "`machineDetection` can be asked for on `<Number>` as well.",
        DETECTION,
        "It is known on calls that the REST API makes.",
    ),
    _missing(
        "rest_api",
        "Transcriptions, user-defined messages, SIPREC and payments are subresources of a call.",
        CALLS,
        "HTTP 404, error 20404.",
    ),
    _missing(
        "rest_api",
        "Queues are resources; conferences that are over too, with announcements and coaches.",
        f"{DOCS}/voice/api/conference-resource",
        "HTTP 404, error 20404, and what is asked of a participant beside hold and mute is left.",
    ),
    _missing(
        "rest_api",
        "`application_sid`, `byoc`, `call_token`, `call_reason` and `passports` shape a new call.",
        CALLS,
        "They are taken and passed over; without `url` and `twiml` there is error 21205.",
    ),
    _missing(
        "refusals",
        "An account makes one call a second, and new accounts have two or three at a time.",
        RATES,
        "Any number, unless `AccountRules` says so.",
    ),
    _missing(
        "refusals",
        "On a trial account Twilio speaks a notice before the call's own instructions.",
        RATES,
        "Nothing is said.",
    ),
    _missing(
        "rest_api",
        "A call that has waited in the queue for 24 hours is canceled.",
        RATES,
        "It waits for as long as the simulation runs.",
    ),
    _missing(
        "rest_api",
        "Calls last four hours at most, or 24 if so set; ten minutes on a trial account.",
        CALLS,
        "The caller's `seconds` (ten minutes by default), and `TimeLimit`.",
    ),
    _missing(
        "rest_api",
        "Test credentials with magic numbers make no calls and charge nothing.",
        f"{DOCS}/iam/test-credentials",
        "`AccountRules.refused_numbers` gives each number the error you want.",
    ),
    _missing(
        "machine_detection",
        "A machine's greeting can also be over for another reason, `machine_end_other`.",
        DETECTION,
        "It is over by a beep or by silence.",
    ),
    _missing(
        "machine_detection",
        "The engine is right in about 94 % of the calls in the US and Canada.",
        DETECTION,
        "It does what its parameters say, to the millisecond.",
    ),
]
"""What is documented and not simulated."""

ASSUMED = (
    "No two requests share a connection, nor does a stream: behind a balancer each may reach "
    "another server.",
    "A server has 10 seconds to answer the upgrade.",
    "The first audio of a stream lies between 99 and 171 ms, then 20 ms follow 20 ms: so do "
    "recorded streams. Twilio names no size.",
    "Forks of both tracks number their chunks in one row.",
    "Marks come back in the order they were set.",
    "A stream that cannot be opened is passed over: the next verb runs.",
    "What is buffered is cut off when the server closes the socket, or REST ends the call; new "
    "instructions over REST begin when it has been played.",
    "`<Connect action>` is told `StreamSid` and `StreamName`, and is not requested when the call "
    "is updated.",
    "A rejected call is `busy`, whatever its reason.",
    "A fifth forked track, and a stream name that is taken, are error 31900.",
    "10004 comes with HTTP 429.",
    "Both parties of a `<Dial>` or a conference hear each other after 60 ms.",
    "31921 stands in the account's list of alerts and not in the call's result, since a bot that "
    "hangs up by closing its socket has done nothing wrong.",
)
"""Where Twilio's documents are silent: what the simulator does, after live calls where possible."""
