"""A speech-to-speech model for the bots that are tried: it says what was laid ready."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from truth_services import Behaviour
from truth_words import Word, said, sound

from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService
from twilio_frames.testing.vendors import RealtimeServer, SpokenReply
from twilio_frames.testing.vendors.realtime.replies import SpokenWord

_NOTHING_TO_SAY = "Hm."


class RealtimeModel:
    """What a session answers and hears.

    Args:
        behaviour: Of the call.
    """

    def __init__(self, behaviour: Behaviour):
        self._behaviour = behaviour
        self.told = 0
        """How many transcripts there were."""

    @asynccontextmanager
    async def service(self) -> AsyncIterator[PhoneOpenAIRealtimeLLMService]:
        """Serves the model; gives this package's service of it."""
        async with RealtimeServer(replies=self._replies(), hears=self._hears()) as server:
            yield PhoneOpenAIRealtimeLLMService(api_key="any", base_url=server.realtime_url)

    def _replies(self) -> Iterator[SpokenReply]:
        while True:
            replies = self._behaviour.replies
            text = replies.popleft() if replies else _NOTHING_TO_SAY
            yield _reply(said(text, self._behaviour.voice))

    def _hears(self) -> Iterator[str]:
        while True:
            self.told += 1
            yield self._behaviour.transcript


def _reply(words: list[Word]) -> SpokenReply:
    places: list[SpokenWord] = []
    begin = 0
    for word in words:
        end = begin + len(word.mulaw)
        places.append(SpokenWord(text=word.written, begin=begin, end=end))
        begin = end + word.pause
    return SpokenReply(words=tuple(places), mulaw=sound(words))
