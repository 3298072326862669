"""Callers for a bot that is measured, in a process of their own; what they heard goes to stdout.

``talk``: so many callers at once ask, talk over every second answer, and hear the others out.
``stall``: one caller has the bot's event loop blocked in the middle of an answer.
``malformed``: one stream for each kind of malformed message, and whether it goes on behind it.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Sequence

import aiohttp
import numpy as np
from stand_ins import ANSWER_SECS, SPEAK_KEY, STALL_KEY, note

from twilio_frames.protocol import Connected, Dtmf, Media, Role, Start, Stop, Stream
from twilio_frames.testing import Caller, CallerOptions, SimulatedTwilio
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.speech import to_utterance

QUESTION = "When is my parcel going to arrive, please?"
GAP_SECS = 0.06
INTERRUPTED_AFTER = 1.0, 2.0
"""Seconds of an answer behind which it is talked over, drawn between: anywhere in a word."""

_STAGGER = 0.35
_MALFORMED = {
    "bad base64": '{"event":"media","streamSid":"MZ1","media":{"payload":"abc"}}',
    "media is null": '{"event":"media","streamSid":"MZ1","media":null}',
    "digit is null": '{"event":"dtmf","streamSid":"MZ1","dtmf":null}',
    "no object": "[1, 2, 3]",
    "no JSON": "{",
}


class Conversation:
    """One caller's talk with the bot.

    Args:
        caller: The caller.
        question: What is asked, mu-law.
        seed: Draws when an answer is talked over.
    """

    def __init__(self, caller: Caller, question: bytes, *, seed: int):
        self._caller = caller
        self._question = question
        self._random = random.Random(seed)
        answered = caller.log.events("answered")[0].time
        self._answered_at = time.monotonic() - caller.log.now + answered
        self._heard_out: list[float] = []

    async def talk(self, until: asyncio.Event) -> None:
        """Asks, talks over the answer, hears the next one out, and so on."""
        while not until.is_set():
            await self._caller.say(self._question)
            after = self._random.uniform(*INTERRUPTED_AFTER)
            await self._caller.wait_until_bot_speaks(for_seconds=after)
            await self._caller.say(self._question)
            await self._caller.wait_for_bot(silence=0.5)
            self._heard_out.append(self._answered_at + self._caller.bot_spells[-1].ended_at)

    def report(self) -> dict[str, object]:
        """What came of it; times in seconds."""
        result = self._caller.result
        return {
            "call_sid": result.call_sid,
            "answer_times": result.answer_times,
            "silence_times": result.silence_times,
            "gaps": gaps(result.heard_bot),
            "bot_secs": len(audible_samples(result.heard_bot)) / 8000,
            "heard_out": self._heard_out,
            "clock_late": result.clock_late,
        }


def gaps(heard: bytes, *, longest: float = 0.6) -> list[float]:
    """Quiet stretches inside the bot's speech, seconds; the bot's answers are without any."""
    loud = audible_samples(heard)
    quiet = (np.diff(loud) - 1) / 8000
    return [float(gap) for gap in quiet if GAP_SECS < gap < longest]


async def talk(url: str, calls: int, seconds: float) -> None:
    """So many calls at once, for so long from the moment they are all up."""
    question = (await to_utterance(QUESTION)).mulaw
    until, up = asyncio.Event(), asyncio.Barrier(calls + 1)
    async with SimulatedTwilio(seed=1) as twilio:
        tasks = [
            asyncio.create_task(_one_call(twilio, url, number, question, until, up))
            for number in range(calls)
        ]
        await up.wait()
        await asyncio.sleep(1.0)
        note("up")
        await asyncio.sleep(seconds)
        note("over")
        until.set()
        for report in await asyncio.gather(*tasks):
            note("call", **report)
    note("done")


async def _one_call(
    twilio: SimulatedTwilio,
    url: str,
    number: int,
    question: bytes,
    until: asyncio.Event,
    up: asyncio.Barrier,
) -> dict[str, object]:
    await asyncio.sleep(number * _STAGGER)
    async with twilio.call(url, options=CallerOptions(noise_level=-60.0, seed=number)) as caller:
        await up.wait()
        await asyncio.sleep(number * _STAGGER)
        conversation = Conversation(caller, question, seed=number)
        talking = asyncio.create_task(conversation.talk(until))
        waiting = asyncio.create_task(until.wait())
        await asyncio.wait({talking, waiting}, return_when=asyncio.FIRST_COMPLETED)
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        return conversation.report()


async def stall(url: str, times: int) -> None:
    """One call with so many answers, each with a stall in its middle."""
    question = (await to_utterance(QUESTION)).mulaw
    async with SimulatedTwilio(seed=2) as twilio:
        async with twilio.call(url, options=CallerOptions(noise_level=-60.0)) as caller:
            for _ in range(times):
                await caller.say(question)
                await caller.wait_until_bot_speaks(for_seconds=1.0)
                await caller.press(STALL_KEY)
                await caller.wait_for_bot(silence=0.7)
        heard = caller.result.heard_bot
    loud = audible_samples(heard)
    holes = [float(hole) for hole in (np.diff(loud) - 1) / 8000 if hole < ANSWER_SECS / 8]
    note("stall", gap=max(holes), times=times)


async def malformed(url: str) -> None:
    """One short stream for each kind of malformed message."""
    async with aiohttp.ClientSession() as session:
        for kind, text in _MALFORMED.items():
            note("malformed", kind=kind, goes_on=await _goes_on(session, url, text))
    note("done")


async def _goes_on(session: aiohttp.ClientSession, url: str, text: str) -> bool:
    """Whether the bot still speaks when it is asked to, after such a message."""
    twilio = Stream(Role.TWILIO)
    async with session.ws_connect(url) as socket:
        await socket.send_str(twilio.send(Connected()))
        await socket.send_str(twilio.send(Start(stream_sid="MZ1", call_sid="CA1")))
        await _line(socket, twilio, range(25))
        await socket.send_str(text)
        await _line(socket, twilio, range(25, 50))
        try:
            await socket.send_str(twilio.send(Dtmf(digit=SPEAK_KEY)))
            speaks = await _hears_media(socket)
            await socket.send_str(twilio.send(Stop()))
        except ConnectionError:
            return False
    return speaks


async def _line(
    socket: aiohttp.ClientWebSocketResponse, twilio: Stream, frames: Sequence[int]
) -> None:
    for number in frames:
        if socket.closed:
            return
        media = Media(payload=b"\xff" * 160, timestamp=100 + 20 * number)
        await socket.send_str(twilio.send(media))
        await asyncio.sleep(0.02)


async def _hears_media(socket: aiohttp.ClientWebSocketResponse) -> bool:
    try:
        async with asyncio.timeout(2.0):
            async for message in socket:
                if '"media"' in message.data:
                    return True
    except TimeoutError:
        pass
    return False


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["talk", "stall", "malformed"])
    parser.add_argument("url", help="the bot's stream, ws://")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.what == "talk":
        asyncio.run(talk(arguments.url, arguments.calls, arguments.seconds))
    elif arguments.what == "stall":
        asyncio.run(stall(arguments.url, arguments.times))
    else:
        asyncio.run(malformed(arguments.url))


if __name__ == "__main__":
    main()
