"""Vendors on this machine: servers that speak Deepgram's, OpenAI's or Cartesia's wire protocol.

The vendor's real client is pointed at one by its address, with any key. Each server notes what it
was asked, answers as it was told to, and has bad days on demand: a :data:`Fault` for each
connection or request.
"""

from twilio_frames.testing.vendors.cartesia import CartesiaServer, ContextError, WordTimes
from twilio_frames.testing.vendors.deepgram import DeepgramServer
from twilio_frames.testing.vendors.faults import Drop, EarlyEnd, Garbage, Hang, Refusal, Slow
from twilio_frames.testing.vendors.function_call import FunctionCall
from twilio_frames.testing.vendors.openai import OpenAIServer
from twilio_frames.testing.vendors.realtime import RealtimeServer
from twilio_frames.testing.vendors.realtime.replies import (
    CutReply,
    FailedReply,
    SpokenReply,
)
from twilio_frames.testing.vendors.realtime.session import Pacing
from twilio_frames.testing.vendors.word_sounds import WordSounds

__all__ = [
    "CartesiaServer",
    "ContextError",
    "CutReply",
    "DeepgramServer",
    "Drop",
    "EarlyEnd",
    "FailedReply",
    "FunctionCall",
    "Garbage",
    "Hang",
    "OpenAIServer",
    "Pacing",
    "RealtimeServer",
    "Refusal",
    "Slow",
    "SpokenReply",
    "WordSounds",
    "WordTimes",
]
