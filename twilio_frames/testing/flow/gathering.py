"""``<Gather>``: keys and words, handed to a webhook.

Words are those the script had the caller say: nothing is recognised, so nothing is misheard.

Source: https://www.twilio.com/docs/voice/twiml/gather
"""

import asyncio
from collections import deque

from twilio_frames.testing.callers.voice import Utterance
from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.instructions import Fetch
from twilio_frames.testing.flow.announcements import play_file, say
from twilio_frames.testing.verbs import Gather, Pause, Play, Say


async def gather(call: SimulatedCall, verb: Gather) -> Fetch | None:
    """Carries it out; gives its ``action``, unless nothing came and none is wanted then."""
    call.ready.set()
    prompting = asyncio.create_task(_prompt(call, verb))
    gathering = _Gathering(call, verb, prompting)
    call.on_key = gathering.keys.append
    try:
        told = await gathering.run()
    finally:
        call.on_key = None
        prompting.cancel()
        await asyncio.gather(prompting, return_exceptions=True)
    call.log.note("gathered", kinds=sorted(told))
    if not told and not verb.asks_on_empty_result:
        return None
    return Fetch(url=verb.action, method=verb.method, parameters=told or {"Digits": ""})


class _Gathering:
    """One ``<Gather>``, looked after every 20 ms."""

    def __init__(self, call: SimulatedCall, verb: Gather, prompting: asyncio.Task[None]):
        self._call = call
        self._verb = verb
        self._prompting = prompting
        self._digits = ""
        self._idle_since = call.seconds
        self._said_before = len(call.line.voice.utterances)
        self.keys: deque[str] = deque()

    async def run(self) -> dict[str, str]:
        """What the webhook is to be told; nothing if nothing came."""
        while True:
            await self._call.line.next_turn()
            if self._prompting.done() and not self._prompting.cancelled():
                # What went wrong with a prompt is to be seen.
                self._prompting.result()
            if not self._prompting.done():
                self._idle_since = self._call.seconds
            if self._take_keys():
                return {"Digits": self._digits}
            spoken = self._words()
            if spoken is not None:
                return spoken
            if self._call.seconds - self._idle_since >= self._verb.timeout:
                return {"Digits": self._digits} if self._digits else {}

    def _take_keys(self) -> bool:
        """Takes in the keys that were pressed; True if that is all of them."""
        while self.keys:
            key = self.keys.popleft()
            if "dtmf" not in self._verb.inputs:
                continue
            self._interrupt()
            if key == self._verb.finish_on_key:
                return bool(self._digits)
            self._digits += key
            if len(self._digits) == self._verb.number_of_digits:
                return True
        return False

    def _words(self) -> dict[str, str] | None:
        """What was said, once it is over; None before."""
        if "speech" not in self._verb.inputs:
            return None
        spoken = self._call.line.voice.utterances[self._said_before :]
        if not spoken:
            return None
        self._interrupt()
        ended_at = spoken[-1].ended_at
        if ended_at is None or self._call.seconds - ended_at < self._verb.speech_timeout:
            return None
        return {"SpeechResult": _text(spoken), "Confidence": "1.0"}

    def _interrupt(self) -> None:
        self._idle_since = self._call.seconds
        self._prompting.cancel()


async def _prompt(call: SimulatedCall, verb: Gather) -> None:
    for prompt in verb.prompts:
        match prompt:
            case Say():
                await say(call, prompt)
            case Play():
                await play_file(call, prompt)
            case Pause(seconds=seconds):
                await asyncio.sleep(seconds)


def _text(spoken: list[Utterance]) -> str:
    return " ".join(utterance.label for utterance in spoken)
