"""Lets the bot be heard, or keeps what it says, from a place in its pipeline on."""

import asyncio
from dataclasses import dataclass, field

from pipecat.frames.frames import SystemFrame

__all__ = ["SpeechGateFrame"]


@dataclass
class SpeechGateFrame(SystemFrame):
    """Where this comes by the output, it begins to let the bot be heard, or ceases to.

    A system frame, which comes behind an interruption that was pushed ahead of it: what that has
    dropped is not heard.

    Parameters:
        is_open: Whether the bot is heard from here on; else what it says waits.
        passed: Set when it has come by.
    """

    is_open: bool
    passed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
