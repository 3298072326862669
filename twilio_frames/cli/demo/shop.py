"""The coffee shop of the demonstration: the example bot, in this process, without any key."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from pipecat.frames.frames import TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.call import Call
from twilio_frames.examples.bot import bot
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.coffee_shop.understanding import UNINTELLIGIBLE
from twilio_frames.examples.services import Services, choose_services, warm_up
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.transport import CallRecorder

_KEYLESS: dict[str, str] = {}


async def open_shop() -> None:
    """Makes the greeting, and what else is shared, before the first caller rings."""
    await warm_up(keys=_KEYLESS)


async def take_order(call: Call) -> None:
    """The bot, for any number of callers."""
    await bot(call, await choose_services(Dialogue(), keys=_KEYLESS))


class Shop:
    """A bot for one call, whose words can be listened to and whose call is written down.

    Args:
        on_heard: Called with the bot's words as they have been heard.
        on_understood: Called with the words of each of the caller's turns; empty if it was not
            understood.
        log: File for the call's log.
        recording: File for the call's recording, on the log's clock.
    """

    def __init__(
        self,
        *,
        on_heard: Callable[[str], None],
        on_understood: Callable[[str], None],
        log: Path,
        recording: Path,
    ):
        self.dialogue = Dialogue()
        self._log = log
        self._recording = recording
        self._on_heard = on_heard
        self._on_understood = on_understood

    async def warm_up(self) -> None:
        """Makes the greeting, and what else is shared, before the caller rings."""
        await open_shop()

    async def take_call(self, call: Call) -> None:
        """The bot, for a server."""
        services = await choose_services(self.dialogue, keys=_KEYLESS)
        output = call.transport.output()
        call.observers.append(_Listener(services, output, self._on_heard, self._on_understood))
        recorder = CallRecorder(self._recording)
        call.transport.add_tap(recorder)
        log = call.keep_log(self._log, words=True, digits=True)
        try:
            await bot(call, services)
        finally:
            await asyncio.gather(recorder.wait_until_written(), log.wait_until_written())


class _Listener(BaseObserver):
    """Hears what the pipeline's services say to each other."""

    def __init__(
        self,
        services: Services,
        output: FrameProcessor,
        on_heard: Callable[[str], None],
        on_understood: Callable[[str], None],
    ):
        super().__init__()
        self._services = services
        self._output = output
        self._on_heard = on_heard
        self._on_understood = on_understood

    async def on_push_frame(self, data: FramePushed) -> None:
        """Takes words where they come from, not each time they are passed on."""
        match data.frame:
            case TranscriptionFrame(text=text) if data.source is self._services.stt:
                self._on_understood("" if text == UNINTELLIGIBLE else text)
            case HeardTextFrame(text=text) if data.source is self._output:
                # The mark behind what was cut off is for the memory.
                if any(map(str.isalnum, text)):
                    self._on_heard(text)
            case _:
                pass
