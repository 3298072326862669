"""A simulated Twilio, and callers that can be scripted: a phone for bots, without a phone.

See :class:`SimulatedTwilio`. It keeps Twilio's documented rules, also the awkward ones: marks come
back when they are played or cleared, query strings of stream URLs are lost, a stream that is closed
is not opened again. What it measures is what the caller's ear would have heard.
"""

from twilio_frames.testing.callers.caller import Caller
from twilio_frames.testing.callers.hearing import Heard, HeardWord
from twilio_frames.testing.callers.parties import Party, Voicemail
from twilio_frames.testing.calls.account import AccountRules, CallbackDisorder, StartDelays
from twilio_frames.testing.calls.alerts import Alert
from twilio_frames.testing.calls.facts import CallEnd, Numbers, StatusCallback
from twilio_frames.testing.calls.ringing import CallerOptions, RingingCall
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.lines.conditions import LineConditions
from twilio_frames.testing.lines.route import Stall
from twilio_frames.testing.lines.timekeeping import Timekeeping
from twilio_frames.testing.logs.log import CallLog, LogEntry
from twilio_frames.testing.loop_watch import LoopBlock, LoopWatch
from twilio_frames.testing.phone import Desk, Phone
from twilio_frames.testing.phone_call import PhoneCall, UnexpectedCallError
from twilio_frames.testing.replay import Replay, read_replay
from twilio_frames.testing.results.measures import HeardSpan, Stretch
from twilio_frames.testing.results.result import CallResult, Turn
from twilio_frames.testing.scripts.checks import Check
from twilio_frames.testing.scripts.script import (
    Event,
    Expectation,
    Limits,
    Script,
    ScriptTurn,
    SendAfter,
)
from twilio_frames.testing.scripts.script_file import read_scripts
from twilio_frames.testing.simulated_twilio import SimulatedTwilio

__all__ = [
    "AccountRules",
    "Alert",
    "CallEnd",
    "CallLog",
    "CallResult",
    "CallbackDisorder",
    "Caller",
    "CallerOptions",
    "Check",
    "Desk",
    "Event",
    "Expectation",
    "Heard",
    "HeardSpan",
    "HeardWord",
    "Limits",
    "LineConditions",
    "LogEntry",
    "LoopBlock",
    "LoopWatch",
    "Numbers",
    "Party",
    "Phone",
    "PhoneCall",
    "Replay",
    "RingingCall",
    "Script",
    "ScriptTurn",
    "SendAfter",
    "Signing",
    "SimulatedTwilio",
    "Stall",
    "StartDelays",
    "StatusCallback",
    "Stretch",
    "Timekeeping",
    "Turn",
    "UnexpectedCallError",
    "Voicemail",
    "read_replay",
    "read_scripts",
]
