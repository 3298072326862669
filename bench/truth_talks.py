"""Conversations between a scripted caller and a bot, and what of them was as it should be."""

import asyncio
import random
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any

from truth_local import LocalBot
from truth_remote import RemoteBot
from truth_words import (
    Author,
    HeardWord,
    Memory,
    Voice,
    Word,
    are_in_order,
    burst,
    compare,
    edge_of,
    gaps,
    heard_words,
    said,
)

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import Caller, LineConditions
from twilio_frames.testing.callers.voice import audible_samples

SETTLING = 1.0
STALL_SECS = 0.2
_POLL = 0.01
_LONGEST_REST = 0.26


class BargeIn(Enum):
    """What interrupts the bot."""

    ORDER = "an InterruptionFrame"
    SPEECH = "a caller who speaks"
    ANSWER = "a short answer"
    BREATH = "a short answer without a pause"
    KEYS = "keys that are pressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens on a call.

    Parameters:
        barge_ins: How many replies are interrupted, each at a random point.
        hear_outs: How many replies are heard to their end.
        leaves: In how many replies the call leaves its stream, at a random point each.
        leaves_for: What for; see ``Desk.leave``.
        false_alarms: How many replies the caller hums or grunts into.
        is_grunt: Whether it is a sound too short for a word, rather than 'uh huh'.
        barge_in: What interrupts.
        stalls: How often the bot's event loop is blocked within each reply.
        hiccups: Whether the TTS provider pauses in mid-utterance.
        is_queued: Whether each reply waits behind another utterance.
        is_protected: Whether callers talk over what may not be interrupted, and are answered.
        silent_texts: Of how many sentences of each reply the voice makes no sound.
        silent_behind: How many it speaks before those.
        waits: Seconds in which what the caller said, or had no sound, may yet come out.
        says_goodbye: Whether the bot ends the call at last, with a goodbye right before.
    """

    barge_ins: int = 10
    hear_outs: int = 2
    leaves: int = 0
    leaves_for: str = ""
    false_alarms: int = 0
    is_grunt: bool = False
    barge_in: BargeIn = BargeIn.ORDER
    stalls: int = 0
    hiccups: bool = False
    is_queued: bool = False
    is_protected: bool = False
    silent_texts: int = 0
    silent_behind: int = 0
    waits: float = 0.0
    says_goodbye: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerSpeech:
    """What the caller says, mu-law.

    Parameters:
        interruption: Long enough to be meant.
        answer: One word or two.
        breath: Such an answer without a pause: a model that transcribes hears it in one piece.
        hum: Not meant at all.
        grunt: Too short for a word.
    """

    interruption: bytes = field(repr=False)
    answer: bytes = field(repr=False)
    breath: bytes = field(repr=False)
    hum: bytes = field(repr=False)
    grunt: bytes = field(repr=False)


@dataclass(kw_only=True)
class Findings:
    """What came of a call, or of several.

    Parameters:
        cut: Memories of replies that were interrupted.
        whole: Memories of replies that were heard out.
        alarmed: Memories of replies the caller hummed or grunted into.
        turns: Whether what both sides said stands in the order in which it was heard, and the LLM
            was asked with that; of each turn of the caller's.
        missed: How often the VAD took a caller's words for none.
        lost: Words lost in each of the replies that should have been heard out.
        stopped_late: Seconds by which ``BotStoppedSpeaking`` followed the last sound at the ear.
        started_late: The same of ``BotStartedSpeaking`` and the first.
        gaps: Seconds of silence where there should have been none, each reply's longest.
        paused: Seconds for which the bot fell silent in replies the caller hummed or grunted into.
        silenced: Seconds from the beginning of an interruption to the bot's last sound.
        goodbyes: Whether each was heard to its last byte.
        errors: Calls that failed, and why.
    """

    cut: list[Memory] = field(default_factory=list)
    whole: list[Memory] = field(default_factory=list)
    alarmed: list[Memory] = field(default_factory=list)
    turns: list[bool] = field(default_factory=list)
    missed: int = 0
    lost: list[int] = field(default_factory=list)
    stopped_late: list[float] = field(default_factory=list)
    started_late: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)
    silenced: list[float] = field(default_factory=list)
    goodbyes: list[bool] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        """Takes in another call's."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    """A reply that is under way.

    Parameters:
        words: Its words, those of an utterance in front of it included.
        begin: Sample at the ear when it was asked for.
        messages: Length of the memory then.
        notice_secs: How long it may be talked over.
    """

    words: tuple[Word, ...]
    begin: int
    messages: int
    notice_secs: float

    @property
    def seconds(self) -> float:
        return sum(word.size for word in self.words) / SAMPLE_RATE


class Talk:
    """One call, from the caller's side.

    Args:
        caller: The caller.
        bot: The bot.
        name: The call's name, by which the bot knows it.
        line: The line's conditions.
        voice: What the bot's words sound like.
        speech: What the caller says.
        transcript: The words of that, in the memory; empty if they are none of the bot's business.
        seed: Makes replies and points in time the same each time.
    """

    def __init__(
        self,
        caller: Caller,
        bot: RemoteBot | LocalBot,
        name: str,
        *,
        line: LineConditions,
        voice: Voice,
        speech: CallerSpeech,
        transcript: str = "",
        seed: int,
    ):
        self._caller = caller
        self._bot = bot
        self._name = name
        self._round_trip = (
            line.delay_to_bot + line.delay_from_bot + line.jitter_to_bot + line.jitter_from_bot
        )
        self._speech = speech
        self._transcript = transcript
        self._told = 0
        self._random = random.Random(seed)
        self._author = Author(seed)
        self._said: list[Word] = []
        self._voice = voice
        self.findings = Findings()

    async def follow(self, script: Script) -> Findings:
        """Has the whole conversation."""
        try:
            for number in range(script.hear_outs):
                await self._hear_out(script, is_first=number == 0)
            for number in range(max(script.leaves, script.barge_ins)):
                if number < script.leaves:
                    await self._leave(script, at_once=bool(number % 2))
                if number < script.barge_ins:
                    await self._interrupt(script)
            for _ in range(script.false_alarms):
                await self._raise_false_alarm(script)
            if script.says_goodbye:
                await self._say_goodbye()
        except (CallFailedError, TimeoutError) as error:
            self.findings.errors.append(f"{type(error).__name__}: {error}")
        return self.findings

    async def _hear_out(self, script: Script, *, is_first: bool = False) -> None:
        reply = await self._ask(script)
        await self._until_said(reply)
        await asyncio.sleep(SETTLING + self._round_trip + script.waits)
        heard = self._heard(reply)
        self.findings.whole.append(await self._memory(reply, heard))
        self.findings.lost.append(len(reply.words) - len(heard))
        if heard and not script.hiccups and not script.silent_texts:
            self.findings.gaps.append(max([0.0, *gaps(heard)]))
        # A pipeline's first audio pays for what is loaded at first use.
        if heard and not is_first:
            await self._time_speaking_frames(reply, heard)

    async def _leave(self, script: Script, *, at_once: bool) -> None:
        """Has the call leave its stream at a random point of a reply, which is heard out."""
        reply = await self._ask(script)
        began = await self._first_sound(reply)
        point = self._random.uniform(0.2, reply.notice_secs - 0.4)
        await self._until(lambda: self._caller.now >= began + point)
        await self._bot.do("leave", name=self._name, leaves_for=script.leaves_for, at_once=at_once)
        await self._until_said(reply)
        await asyncio.sleep(SETTLING + self._round_trip)
        heard = self._heard(reply)
        self.findings.whole.append(await self._memory(reply, heard))
        self.findings.lost.append(len(reply.words) - len(heard))

    async def _interrupt(self, script: Script) -> None:
        reply = await (self._announce(script) if script.is_protected else self._ask(script))
        began = await self._first_sound(reply)
        point = self._random.uniform(0.2, reply.notice_secs - 0.4)
        await self._until(lambda: self._caller.now >= began + point)
        if script.barge_in is BargeIn.ORDER:
            await self._bot.do("interrupt", name=self._name)
        else:
            await self._speak_over(reply, script)
        if script.is_protected or script.barge_in is BargeIn.KEYS:
            await self._until_said(reply)
        await asyncio.sleep(SETTLING + self._round_trip + script.waits)
        heard = self._heard(reply)
        found = self.findings.whole if script.is_protected else self.findings.cut
        found.append(await self._memory(reply, heard))
        if not self._transcript:
            return
        told, self._told = self._told, (await self._report(reply))["told"]
        if script.barge_in is BargeIn.KEYS or self._told > told:
            self.findings.turns.append(await self._is_in_turn(reply, heard, began + point))
        else:
            self.findings.missed += 1

    async def _speak_over(self, reply: _Reply, script: Script) -> None:
        match script.barge_in:
            case BargeIn.KEYS:
                await self._caller.press("42")
            case BargeIn.ANSWER:
                await self._caller.say(self._speech.answer)
            case BargeIn.BREATH:
                await self._caller.say(self._speech.breath)
            case _:
                utterance = await self._caller.say(self._speech.interruption)
                self._time_silence(utterance.speech_began_at or 0.0, reply)

    async def _is_in_turn(self, reply: _Reply, heard: Sequence[HeardWord], at: float) -> bool:
        """Whether the caller's words, said from a moment on, stand where they belong."""
        report = await self._report(reply)
        before = [one.word.text for one in heard if one.ended_at <= at * SAMPLE_RATE]
        return are_in_order(
            report["turns"], report["asked"], self._transcript, before, [one.word for one in heard]
        )

    async def _raise_false_alarm(self, script: Script) -> None:
        reply = await self._ask(script)
        began = await self._first_sound(reply)
        point = self._random.uniform(0.3, reply.seconds - 1.2)
        await self._until(lambda: self._caller.now >= began + point)
        await self._caller.say(self._speech.grunt if script.is_grunt else self._speech.hum)
        await self._until_said(reply)
        await asyncio.sleep(SETTLING + self._round_trip)
        heard = self._heard(reply)
        self.findings.alarmed.append(await self._memory(reply, heard))
        self._time_pause(reply, heard)
        self.findings.lost.append(len(reply.words) - len(heard))

    async def _say_goodbye(self) -> None:
        text = self._author.reply(6)
        words = await asyncio.to_thread(said, text, self._voice)
        begin = round(self._caller.now * SAMPLE_RATE)
        await self._bot.do("end", name=self._name, goodbye=text, sounds=_encoded(words))
        await self._caller.wait_for_end(seconds=15)
        heard = heard_words(self._caller.result.heard_bot, words, begin=begin)
        self.findings.goodbyes.append(len(heard) == len(words))

    async def _announce(self, script: Script) -> _Reply:
        notice, answer = self._author.reply(8), self._author.reply(4, 4)
        words = await asyncio.to_thread(said, f"{notice} {answer}", self._voice)
        self._said += words
        begin = round(self._caller.now * SAMPLE_RATE)
        asked = await self._bot.do(
            "announce_first",
            name=self._name,
            notice=notice,
            reply=answer,
            sounds=_encoded(words),
        )
        notice_secs = sum(word.size for word in words[: len(notice.split())]) / SAMPLE_RATE
        return _Reply(
            words=tuple(words),
            begin=begin,
            messages=asked["messages"],
            notice_secs=notice_secs,
        )

    async def _ask(self, script: Script) -> _Reply:
        first = self._author.reply(4) if script.is_queued else ""
        answer = self._author.reply(6, 5)
        # A voice may take its time, which the line must not wait for.
        words = await asyncio.to_thread(said, f"{first} {answer}", self._voice)
        self._said += words
        hiccup_at = self._random.uniform(0.4, 1.2) if script.hiccups else None
        begin = round(self._caller.now * SAMPLE_RATE)
        asked = await self._bot.do(
            "ask",
            name=self._name,
            reply=answer,
            first=first,
            hiccup_at=hiccup_at,
            silent_texts=script.silent_texts,
            silent_behind=script.silent_behind,
            sounds=_encoded(words),
        )
        reply = _Reply(
            words=tuple(words),
            begin=begin,
            messages=asked["messages"],
            notice_secs=sum(word.size for word in words) / SAMPLE_RATE,
        )
        loop = asyncio.get_running_loop()
        for _ in range(script.stalls):
            at = self._random.uniform(0.3, reply.seconds)
            loop.call_later(at, self._stall)
        return reply

    def _stall(self) -> None:
        self._bot.order("stall", seconds=STALL_SECS)

    def _heard(self, reply: _Reply) -> list[HeardWord]:
        return heard_words(self._caller.result.heard_bot, reply.words, begin=reply.begin)

    async def _memory(self, reply: _Reply, heard: Sequence[HeardWord]) -> Memory:
        edge = edge_of(self._caller.result.heard_bot, reply.words, heard)
        report = await self._report(reply)
        return compare(report["memory"], reply.words, heard, self._said, edge)

    async def _report(self, reply: _Reply) -> dict[str, Any]:
        return await self._bot.do("report", name=self._name, messages=reply.messages)

    async def _time_speaking_frames(self, reply: _Reply, heard: Sequence[HeardWord]) -> None:
        answered = self._caller.answered_at
        ended = answered + heard[-1].ended_at / SAMPLE_RATE
        began = answered + (heard[0].ended_at - len(heard[0].word.mulaw)) / SAMPLE_RATE
        report = await self._report(reply)
        asked = answered + reply.begin / SAMPLE_RATE
        if stopped := [at - ended for at in report["stopped"] if at > asked]:
            self.findings.stopped_late.append(min(stopped, key=abs))
        if started := [at - began for at in report["started"] if at > asked]:
            self.findings.started_late.append(min(started, key=abs))

    def _time_silence(self, began: float, reply: _Reply) -> None:
        spells = [spell for spell in self._caller.bot_spells if spell.began_at < began]
        if spells and spells[-1].ended_at > began:
            self.findings.silenced.append(spells[-1].ended_at - began)

    def _time_pause(self, reply: _Reply, heard: Sequence[HeardWord]) -> None:
        if heard:
            ear = self._caller.result.heard_bot[reply.begin : heard[-1].ended_at]
            silences = [b - a for a, b in pairwise(audible_samples(ear))]
            longest = float(max(silences, default=0)) / SAMPLE_RATE
            # The bot itself pauses between its sentences.
            self.findings.paused += [longest] * (longest > _LONGEST_REST)

    async def _first_sound(self, reply: _Reply) -> float:
        """Waits until the reply is heard; gives when that began, seconds from the answer."""
        asked = reply.begin / SAMPLE_RATE

        def is_heard() -> bool:
            return bool(self._caller.bot_spells) and self._caller.bot_spells[-1].ended_at > asked

        await self._until(is_heard)
        return max(asked, self._caller.bot_spells[-1].began_at)

    async def _until_said(self, reply: _Reply) -> None:
        """Waits until the reply's last word was heard, or nothing more comes."""
        await self._first_sound(reply)
        last = reply.words[-1:]
        silence = 4.0

        def is_over() -> bool:
            if self._caller.now - self._caller.bot_spells[-1].ended_at > silence:
                return True
            ear = self._caller.result.heard_bot
            return bool(heard_words(ear, last, begin=reply.begin))

        await self._until(is_over, poll=0.1)

    async def _until(self, is_true: Callable[[], bool], *, poll: float = _POLL) -> None:
        async with asyncio.timeout(25):
            while not is_true():  # the caller's ear tells nobody
                if not self._caller.is_connected:
                    raise CallFailedError("the call ended in the middle of a reply")
                await asyncio.sleep(poll)


def _encoded(words: Sequence[Word]) -> dict[str, str]:
    """What words sound like, for the bot's process; bursts it knows by itself."""
    return {
        word.text: b64encode(word.mulaw).decode()
        for word in words
        if word.mulaw != burst(word.text)
    }
