"""The circumstances under which bots are tried, and the calls that try them."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from truth_bots import webhook_of
from truth_desk import BUSY
from truth_local import LocalBot
from truth_remote import RemoteBot
from truth_services import Kind, Timestamps
from truth_talks import BargeIn, CallerSpeech, Findings, Script, Talk
from truth_voices import spoken
from truth_words import burst

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import CallerOptions, LineConditions, SimulatedTwilio
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.lines.conditions import PERFECT_LINE
from twilio_frames.testing.speech import to_utterance

SIDES = ("ours", "stock")
_POINTS_A_SCRIPT = 10
_GRUNT_SECS = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Under which circumstances calls are made.

    Parameters:
        label: What it is called in the table.
        kind: Which TTS the bot has.
        line: What the line is like.
        script: What happens; its counts are for ten points.
        speaks: Whether the bot speaks rather than buzzes: a VAD takes its echo for a caller's, and
            words are found by what they sound like where nobody has told yet when they are said.
        transcript: What the recogniser makes of the caller's speech.
        hears: How it does so; see ``Behaviour``.
        in_memory: What the memory is to hold of the caller, in its place.
        is_alone: Whether each call has a bot of its own, since it stalls the bot's event loop.
        a_call: How many points each call has at most.
    """

    label: str
    kind: Kind = Kind.TIMESTAMPS
    line: LineConditions = PERFECT_LINE
    script: Script = field(default_factory=Script)
    speaks: bool = False
    transcript: str = ""
    hears: Mapping[str, object] = field(default_factory=dict)
    in_memory: str = ""
    is_alone: bool = False
    a_call: int = 10

    @property
    def is_ours(self) -> bool:
        """Whether this package alone can do it."""
        return self.kind is Kind.REALTIME or bool(self.script.leaves)


_ANSWER = "No, please don't."


def _answer(
    label: str,
    *,
    kind: Kind = Kind.TIMESTAMPS,
    line: LineConditions = PERFECT_LINE,
    speaks: bool = False,
    is_protected: bool = False,
    waits: float = 0.0,
    **hears: Any,
) -> Scenario:
    script = Script(
        hear_outs=0,
        barge_in=BargeIn.BREATH if kind is Kind.REALTIME else BargeIn.ANSWER,
        says_goodbye=kind is not Kind.REALTIME,
        is_protected=is_protected,
        waits=waits + 1.0 + hears.get("words_late", 0.0),
    )
    return Scenario(
        label=label,
        kind=kind,
        line=line,
        script=script,
        speaks=speaks,
        transcript=_ANSWER,
        hears=hears,
        in_memory=_ANSWER,
        # Pipecat's service asks its model by itself for the first reply alone.
        a_call=1 if kind is Kind.REALTIME else 10,
    )


def _away(label: str, what: str) -> Scenario:
    """Calls that leave their stream in the middle of replies; others are interrupted behind it."""
    script = Script(leaves=5, leaves_for=what, barge_ins=5, hear_outs=0)
    return Scenario(label=label, line=LineConditions.one_way(0.06), script=script)


SCENARIOS = {
    "clean": Scenario(label="clean line", script=Script(hear_outs=5)),
    "delay": Scenario(label="250 ms one-way delay", line=LineConditions.one_way(0.25)),
    "jitter": Scenario(
        label="50 ms delay, 100 ms jitter", line=LineConditions.one_way(0.05, jitter=0.1)
    ),
    "stalls": Scenario(label="three 200 ms stalls", script=Script(stalls=3), is_alone=True),
    "hiccup": Scenario(label="provider hiccup of 2 s", script=Script(hiccups=True), speaks=True),
    "queued": Scenario(label="reply behind another utterance", script=Script(is_queued=True)),
    "sentences": Scenario(label="no word timestamps, noise", kind=Kind.SENTENCES),
    "python": Scenario(label="PythonTTSService", kind=Kind.PYTHON),
    "speech": Scenario(
        label="caller speaks over it, 60 ms delay",
        line=LineConditions.one_way(0.06),
        script=Script(barge_in=BargeIn.SPEECH),
        transcript="Wait a moment, please.",
    ),
    "alarms": Scenario(
        label="false alarms",
        script=Script(barge_ins=0, hear_outs=0, false_alarms=10),
    ),
    "grunts": Scenario(
        label="grunts of 0.15 s",
        script=Script(barge_ins=0, hear_outs=0, false_alarms=10, is_grunt=True),
    ),
    "answer": _answer("short answer, whole utterances", words_late=0.4),
    "late answer": _answer("short answer, words 1 s late", words_late=1.0),
    "streaming answer": _answer(
        "short answer, slow streaming", words_late=0.8, tells_interims=True
    ),
    "slow answer": _answer(
        "short answer, 250 ms one-way delay", line=LineConditions.one_way(0.25), words_late=0.8
    ),
    "answer by words": _answer("short answer, by words", interrupt_by="WORDS", words_late=0.4),
    "slow answer by words": _answer(
        "short answer by words, 250 ms", line=LineConditions.one_way(0.25), interrupt_by="WORDS"
    ),
    "untimed answer": _answer(
        "short answer, no word timestamps", kind=Kind.SENTENCES, speaks=True, words_late=0.4
    ),
    "protected": _answer("answer behind protected speech", is_protected=True, words_late=0.4),
    "slow protected": _answer(
        "the same, 250 ms one-way delay",
        line=LineConditions.one_way(0.25),
        is_protected=True,
        words_late=0.8,
    ),
    "python protected": _answer(
        "the same, PythonTTSService", kind=Kind.PYTHON, is_protected=True, words_late=0.4
    ),
    "second part": _answer(
        "short answer, more words 10 s later",
        waits=12.0,
        words_late=0.4,
        second_part="And thank you very much.",
    ),
    "realtime answer": _answer("short answer, speech-to-speech", kind=Kind.REALTIME, speaks=True),
    "slow realtime answer": _answer(
        "the same, 250 ms one-way delay",
        kind=Kind.REALTIME,
        line=LineConditions.one_way(0.25),
        speaks=True,
    ),
    "realtime noise": _answer("short answer, speech-to-speech, noise", kind=Kind.REALTIME),
    "keys": Scenario(
        label="keys while muted",
        script=Script(barge_ins=10, hear_outs=0, barge_in=BargeIn.KEYS, waits=1.0),
        transcript=_ANSWER,
        hears={"is_muted": True},
        in_memory="DTMF: 42",
    ),
    "unspoken": Scenario(
        label="a reply without a sound",
        script=Script(barge_ins=0, hear_outs=10, silent_texts=2),
    ),
    "skipped": Scenario(
        label="a first sentence without a sound",
        script=Script(hear_outs=5, silent_texts=1, waits=4.0),
    ),
    "skipped last": Scenario(
        label="a last sentence without a sound",
        script=Script(hear_outs=5, silent_texts=1, silent_behind=1, waits=4.0),
        speaks=True,
    ),
    "echo": Scenario(
        label="echo, -20 dB, 200 ms",
        line=LineConditions(echo_level=-20, echo_delay=0.2),
        script=Script(barge_ins=5, hear_outs=6, barge_in=BargeIn.SPEECH),
        speaks=True,
        transcript="Wait a moment, please.",
    ),
    "transferred": _away("put through, and returned", "transfer"),
    "held": _away("put on hold", "hold"),
    "keyed": _away("keys pressed for the other end", "keys"),
    "spoken": Scenario(label="no word timestamps, speech", kind=Kind.SENTENCES, speaks=True),
}


class Trial:
    """Scenarios, tried on some bots.

    Args:
        names: Which scenarios.
        points: How many random points each has.
        sides: Which bots.
        at_once: How many calls each side has at once.
        is_here: Whether this package's bot runs in this process, which virtual time needs.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        points: int,
        sides: Sequence[str] = SIDES,
        at_once: int = 5,
        is_here: bool = False,
    ):
        self._is_here = is_here
        self._at_once = at_once
        self._names = names
        self._sides = sides
        self._points = points
        self.findings = {side: {name: Findings() for name in names} for side in sides}

    async def run(self) -> dict[str, dict[str, Findings]]:
        """Makes all the calls; gives what was found by side and scenario."""
        speech = await _caller_speech()
        async with AsyncExitStack() as stack:
            twilio = await stack.enter_async_context(SimulatedTwilio(seed=1))
            twilio.answer_with(BUSY, None)
            # One after the other, so that neither suffers from what the other uses of the machine.
            for side in self._sides:
                async with self._bot(side, twilio) as bot:
                    await self._try_side(side, twilio, bot, speech)
        return self.findings

    def _bot(self, side: str, twilio: SimulatedTwilio) -> RemoteBot | LocalBot:
        return LocalBot(twilio.auth_token) if self._is_here else RemoteBot(side, twilio)

    async def _try_side(
        self, side: str, twilio: SimulatedTwilio, bot: RemoteBot | LocalBot, speech: CallerSpeech
    ) -> None:
        # In one process a call that stalls its event loop stalls all the others.
        is_stalled = self._is_here and any(SCENARIOS[name].is_alone for name in self._names)
        free = asyncio.Semaphore(1 if is_stalled else self._at_once)

        async def one(name: str, number: int, script: Script) -> None:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(free)
                its_bot = bot
                if SCENARIOS[name].is_alone:
                    its_bot = await stack.enter_async_context(self._bot(side, twilio))
                found = await self._one_call(side, name, number, script, twilio, its_bot, speech)
            self.findings[side][name].add(found)

        await asyncio.gather(
            *(
                one(name, number, script)
                for name in self._names
                if side == "ours" or not SCENARIOS[name].is_ours
                for number, script in enumerate(_parts(SCENARIOS[name], self._points))
            )
        )

    async def _one_call(
        self,
        side: str,
        name: str,
        number: int,
        script: Script,
        twilio: SimulatedTwilio,
        bot: RemoteBot | LocalBot,
        speech: CallerSpeech,
    ) -> Findings:
        scenario = SCENARIOS[name]
        seed = 1000 * list(SCENARIOS).index(name) + number
        call_name = f"{side} {name} {number}"
        await bot.do(
            "expect",
            name=call_name,
            kind=scenario.kind.name,
            timestamps=list(Timestamps)[number % len(Timestamps)].name,
            transcript=scenario.transcript,
            **scenario.hears,
        )
        options = CallerOptions(line=scenario.line, seed=seed, noise_level=-60.0)
        url = bot.url
        if script.leaves:
            url = f"{webhook_of(bot.url)}?{urlencode({'name': call_name})}"
        try:
            async with twilio.call(url, parameters={"name": call_name}, options=options) as caller:
                await bot.do("ready", name=call_name)
                talk = Talk(
                    caller,
                    bot,
                    call_name,
                    line=scenario.line,
                    voice=spoken if scenario.speaks else burst,
                    speech=speech,
                    transcript=scenario.in_memory,
                    seed=seed,
                )
                return await talk.follow(script)
        except (CallFailedError, TimeoutError) as error:
            return Findings(errors=[f"{type(error).__name__}: {error}"])


def _parts(scenario: Scenario, points: int) -> list[Script]:
    """The calls that make up so many points."""
    calls = math.ceil(points / scenario.a_call)
    share = math.ceil(points / calls) / _POINTS_A_SCRIPT
    script = scenario.script
    part = replace(
        script,
        leaves=math.ceil(share * script.leaves),
        barge_ins=math.ceil(share * script.barge_ins),
        hear_outs=math.ceil(share * script.hear_outs),
        false_alarms=math.ceil(share * script.false_alarms),
    )
    return [part] * calls


async def _caller_speech() -> CallerSpeech:
    interruption = await to_utterance("Wait a moment, please. I want something else.")
    hum = await to_utterance("Uh huh.")
    return CallerSpeech(
        interruption=interruption.mulaw,
        answer=(await to_utterance("No, don't.")).mulaw,
        breath=(await to_utterance("No don't.")).mulaw,
        hum=hum.mulaw,
        grunt=await _beginning_of("Ah."),
    )


async def _beginning_of(text: str) -> bytes:
    spoken = (await to_utterance(text)).mulaw
    first = int(audible_samples(spoken)[0])
    return spoken[first : first + round(_GRUNT_SECS * SAMPLE_RATE)]
