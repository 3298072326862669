"""A simulated Twilio, and callers that can be scripted: a phone for bots, without a phone.

See :class:`SimulatedTwilio`. It keeps Twilio's documented rules, also the awkward ones: marks come
back when they are played or cleared, query strings of stream URLs are lost, a stream that is closed
is not opened again. What it measures is what the caller's ear would have heard.
"""

from twilio_frames.fleet.loop_watch import LoopWatch
from twilio_frames.testing.callers.caller import Caller
from twilio_frames.testing.callers.parties import Voicemail
from twilio_frames.testing.calls.account import AccountRules, StartDelays
from twilio_frames.testing.calls.facts import CallEnd, Numbers
from twilio_frames.testing.calls.ringing import CallerOptions
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.lines.conditions import LineConditions
from twilio_frames.testing.lines.route import Stall
from twilio_frames.testing.phone import Desk, Phone
from twilio_frames.testing.phone.call import UnexpectedCallError
from twilio_frames.testing.replay import read_replay
from twilio_frames.testing.results.result import CallResult, Turn
from twilio_frames.testing.scripts.script import Limits, Script
from twilio_frames.testing.scripts.script_file import read_scripts
from twilio_frames.testing.simulated_twilio import SimulatedTwilio

__all__ = [
    "AccountRules",
    "CallEnd",
    "CallResult",
    "Caller",
    "CallerOptions",
    "Desk",
    "Limits",
    "LineConditions",
    "LoopWatch",
    "Numbers",
    "Phone",
    "Script",
    "Signing",
    "SimulatedTwilio",
    "Stall",
    "StartDelays",
    "Turn",
    "UnexpectedCallError",
    "Voicemail",
    "read_replay",
    "read_scripts",
]
