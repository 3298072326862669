"""The coffee shop of the demonstration: the example bot, in this process, without any key."""

from collections.abc import Callable

from pipecat.frames.frames import LLMFullResponseEndFrame, LLMTextFrame, TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed

from twilio_frames.call import Call
from twilio_frames.examples.bot import bot
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.coffee_shop.understanding import UNINTELLIGIBLE
from twilio_frames.examples.services import Services, choose_services


class Shop:
    """A bot for one call, whose words can be listened to.

    Args:
        on_reply: Called with each reply, before it is heard.
        on_understood: Called with the words of each of the caller's turns; empty if it was not
            understood.
    """

    def __init__(self, *, on_reply: Callable[[str], None], on_understood: Callable[[str], None]):
        self.dialogue = Dialogue()
        self._on_reply = on_reply
        self._on_understood = on_understood

    async def take_call(self, call: Call) -> None:
        """The bot, for a server."""
        services = await choose_services(self.dialogue, keys={})
        call.observers.append(_Listener(services, self._on_reply, self._on_understood))
        await bot(call, services)


class _Listener(BaseObserver):
    """Hears what the pipeline's services say to each other."""

    def __init__(
        self,
        services: Services,
        on_reply: Callable[[str], None],
        on_understood: Callable[[str], None],
    ):
        super().__init__()
        self._services = services
        self._on_reply = on_reply
        self._on_understood = on_understood
        self._reply = ""

    async def on_push_frame(self, data: FramePushed) -> None:
        """Takes words where they come from, not each time they are passed on."""
        match data.frame:
            case TranscriptionFrame(text=text) if data.source is self._services.stt:
                self._on_understood("" if text == UNINTELLIGIBLE else text)
            case LLMTextFrame(text=text) if data.source is self._services.llm:
                self._reply += text
            case LLMFullResponseEndFrame() if data.source is self._services.llm:
                reply, self._reply = self._reply.strip(), ""
                if reply:
                    self._on_reply(reply)
            case _:
                pass
