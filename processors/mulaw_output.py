"""The bot's voice on the line: what it says, paced, and what falls due as it is heard.

Theory of operation
-------------------
Everything that comes down the pipeline is laid in a *script*: audio, and behind it the frames that
follow it. Audio leaves the script for Twilio; a frame leaves it for the rest of the pipeline when
the audio before it has been *heard*. So the words in the assistant's memory, the end of speaking,
the end of the call all follow the caller's ear.

Twilio plays what it has at 8000 bytes a second. Sent exactly in time, every stall of the event loop
is a hole in the sentence; sent all at once, too much would have to be taken back. So Twilio is kept
a *lead* ahead, on an absolute clock: after a stall the following messages leave without a pause
until the lead is whole again. A mark goes behind each message and at the end of each word; its
echo says what was heard (see ``twilio_frames.protocol.playback``).

When the caller begins to speak, speech is *held*: sending stops, Twilio's buffer is cleared, the
unheard rest is kept. An interruption drops the rest, after the words that were heard have been
handed on; a false alarm lets it play on from the last word's end.
"""

import asyncio
import time
from typing import Protocol

from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputDTMFFrame,
    OutputDTMFUrgentFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    OutputTransportReadyFrame,
    StartFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport

from twilio_frames.audio import SAMPLE_RATE, Resampler, encode_mulaw
from twilio_frames.frames import CallEndReason, MarkSentFrame, MulawOutputFrame, SendMarkFrame
