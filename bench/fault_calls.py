"""Calls in the middle of which something goes wrong: what came of them, and what must be true."""

import asyncio
import contextlib
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_world import (
    AGAIN,
    ANSWER,
    FILLER,
    GOODBYE,
    GREETING,
    LAST_WORDS,
    NO_EARS,
    NO_MIND,
    NO_VOICE,
    QUESTION,
    WORKER,
    World,
    quiet_callbacks,
)
from loguru import logger
from truth_words import bare_word, heard_words, said

from twilio_frames.errors import CallFailedError
from twilio_frames.server.calls.records import StreamPhase
from twilio_frames.testing import Caller
from twilio_frames.testing.calls.facts import CALLER_NUMBER, CallEnd
from twilio_frames.testing.exchange import DEFAULT_AUTH_TOKEN
from twilio_frames.testing.vendors import WordSounds

BEFORE, GREETED, ASKS, THINKS, ANSWERS, END = MOMENTS = (
    "before it begins",
    "greeting",
    "caller speaking",
    "bot thinking",
    "bot speaking",
    "at the end",
)

PATIENCE_SECS = 14.0
"""How long a caller waits for something to be said."""
PAUSE_SECS = 1.0
BEFORE_SECS = 5.0
FREE_SECS = 20.0
GONE_SECS = 4.0
"""How long a caller who has said goodbye stays where nothing is said any more."""
UNNOTICED_SECS = 2.2
"""What there is of silence in a call in which all is well, and a little more."""
SPOKEN = {
    "the greeting": GREETING,
    "the answer": ANSWER,
    "the goodbye": GOODBYE,
    "a filler": FILLER,
    "the LLM's apology": NO_MIND,
    "'I can't hear you'": NO_EARS,
    "the voice's apology": NO_VOICE,
    "the question again": AGAIN,
}
WHOLE = ("the greeting", "the answer", "the goodbye")
SECRETS = (DEFAULT_AUTH_TOKEN, CALLER_NUMBER, "key-of-")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of one call.

    Parameters:
        heard: What the caller heard, in a few words.
        memory: What the memory holds.
        ended: How the call ended.
        line: What one line of the log said.
        broken: The rules that were broken.
    """

    heard: str
    memory: str = "—"
    ended: str = "no call"
    line: str = "—"
    broken: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[str, str, str, str]:
        """What the table shows."""
        return self.heard, self.memory, self.ended, self.line


@dataclass(slots=True, kw_only=True)
class Tried:
    """One call, before it is judged."""

    world: World
    caller: Caller | None
    failure: str
    lines: list[Any]
    reserved: int = 0


# The call.


class Talk:
    """The caller's part; a fault begins at its moment.

    Args:
        moment: That moment.
        act: Has it begin.
    """

    def __init__(self, speech: dict[str, bytes], moment: str, act: Callable[[], None]):
        self._speech = speech
        self._moment = moment
        self._act = act

    def come(self, moment: str) -> None:
        """A moment has come."""
        if moment == self._moment:
            self._act()

    async def with_bot(self, caller: Caller) -> None:
        """Listens, asks, listens, says goodbye, and hangs up if the bot does not."""
        await self._heard(caller, GREETED)
        await self._say(caller, QUESTION, ASKS)
        self.come(THINKS)
        await self._heard(caller, ANSWERS)
        await self._say(caller, LAST_WORDS, "")
        await self._heard(caller, END)
        await caller.wait_until(lambda: caller.bot_is_silent(GONE_SECS), seconds=PATIENCE_SECS)
        await caller.hang_up()

    async def _heard(self, caller: Caller, moment: str) -> None:
        since = caller.last_input_at

        def speaks() -> bool:
            spells = caller.bot_spells
            return bool(spells) and spells[-1].began_at >= since and spells[-1].seconds > 0.4

        await caller.wait_until(speaks, seconds=PATIENCE_SECS)
        self.come(moment)
        await caller.wait_until(lambda: caller.bot_is_silent(PAUSE_SECS), seconds=PATIENCE_SECS)

    async def _say(self, caller: Caller, words: str, moment: str) -> None:
        utterance = await caller.start_saying(self._speech[words])
        began = caller.now
        await caller.wait_until(lambda: caller.now > began + 0.6, seconds=5)
        self.come(moment)
        await caller.wait_until(lambda: utterance.ended_at is not None, seconds=10)


async def make_speech() -> tuple[WordSounds, dict[str, bytes]]:
    """What the caller says."""
    sounds = WordSounds()
    return sounds, {text: await sounds.spoken(text) for text in (QUESTION, LAST_WORDS)}


Speech = tuple[WordSounds, dict[str, bytes]]


async def try_call(
    moment: str, act: Callable[[World], None], speech: Speech, *, disk: str = ""
) -> Outcome:
    """Makes a call, in which something goes wrong at a moment.

    Args:
        moment: The moment.
        act: Has it go wrong.
        speech: What :func:`make_speech` made.
        disk: What the disk is to be like from then on.
    """
    lines: list[Any] = []
    sounds, texts = speech
    with tempfile.TemporaryDirectory() as folder, quiet_callbacks():
        async with World(sounds, Path(folder)) as world:
            world.expect_disk(disk, at_once=moment == BEFORE)
            sink = logger.add(
                lambda message: lines.append(message.record),
                level="DEBUG",
                format="{message}",
                filter=lambda _: WORKER.get() not in world.dead,
            )
            try:
                talk = Talk(texts, moment, lambda: act(world))
                caller, failure = await _ring(world, talk)
                return await judge(Tried(world=world, caller=caller, failure=failure, lines=lines))
            finally:
                logger.remove(sink)


async def _ring(world: World, talk: Talk) -> tuple[Caller | None, str]:
    caller: Caller | None = None
    talk.come(BEFORE)
    # What went wrong before has done so for some time.
    await asyncio.sleep(BEFORE_SECS)
    try:
        async with world.twilio.call(f"{world.front.url}/twiml") as caller:
            with contextlib.suppress(CallFailedError):
                await talk.with_bot(caller)
    except CallFailedError as error:
        return caller, str(error)
    return caller, ""


# What came of it.


async def judge(tried: Tried) -> Outcome:
    """What a call came to, and which rules it broke."""
    await asyncio.sleep(FREE_SECS)
    for worker in tried.world.living:
        tried.reserved += await worker.state.fleet.reserved()
    if tried.caller is None:
        code = re.search(r"\d{5}", tried.failure)
        outcome = Outcome(heard=f"Twilio's own error ({code[0] if code else '?'})")
    elif tried.caller.end is CallEnd.REJECTED:
        outcome = Outcome(heard="busy")
    else:
        outcome = _outcome(tried, tried.caller)
    outcome.line = _first_line(tried.lines)
    outcome.broken += [name for name, is_broken in RULES.items() if is_broken(tried)]
    return outcome


def _outcome(tried: Tried, caller: Caller) -> Outcome:
    heard = _heard_of(caller)
    reasons = [call.end_reason for call in tried.world.calls]
    here = str(reasons[-1].value) if reasons and reasons[-1] is not None else "no bot"
    there = caller.end.value if caller.end else "goes on"
    ended = there if there == here else f"{there}; here: {here}"
    return Outcome(heard=_in_words(heard, caller), memory=_memory(tried, caller), ended=ended)


def _heard_of(caller: Caller) -> dict[str, int]:
    """How many words were heard of each of the texts, in the order in which they were begun."""
    ear = caller.heard_so_far
    found = [
        (heard[0].ended_at, label, sum(one.times for one in heard))
        for label, text in SPOKEN.items()
        if (heard := heard_words(ear, said(text)))
    ]
    return {label: count for _, label, count in sorted(found)}


def _in_words(heard: dict[str, int], caller: Caller) -> str:
    missing = [
        _missing(label, heard.get(label, 0)) for label in WHOLE if not _is_whole(label, heard)
    ]
    others = [label for label in heard if label not in WHOLE]
    others += ["Twilio's apology" for _ in caller.announcements[:1]]
    text = "everything" if not missing else f"all but {', '.join(missing)}"
    if len(missing) == len(WHOLE) and not any(map(heard.get, WHOLE)):
        text = "nothing"
    if others:
        text += f"; and {', '.join(others)}"
    silence = longest_silence(caller)
    return text + (f"; {silence:.1f} s of silence" if silence > UNNOTICED_SECS else "")


def _is_whole(label: str, heard: dict[str, int]) -> bool:
    return heard.get(label, 0) >= len(SPOKEN[label].split())


def _missing(label: str, count: int) -> str:
    return label if not count else f"the end of {label}"


def longest_silence(caller: Caller) -> float:
    """The longest time in which nobody spoke."""
    return max((air.seconds for air in caller.result.dead_air), default=0.0)


def _memory(tried: Tried, caller: Caller) -> str:
    if not tried.world.contexts:
        return "nothing"
    off = words_off(tried, caller)
    user = " ".join(_texts(tried, "user"))
    lacks = [
        what
        for what, words in (("the question", QUESTION), ("the last words", LAST_WORDS))
        if bare_word(words.split()[2]) not in map(bare_word, user.split())
    ]
    text = "what was heard" if not off else f"off by {off} words"
    return text + (f", without {' and '.join(lacks)}" if lacks else "")


def _texts(tried: Tried, role: str) -> list[str]:
    messages: list[Any] = tried.world.contexts[-1].get_messages()
    return [str(one["content"]) for one in messages if one["role"] == role and one.get("content")]


def _counts(tried: Tried, caller: Caller) -> tuple[Counter[str], Counter[str]]:
    """How often each word of the bot's own texts was heard, and is remembered."""
    own = [word for label in WHOLE for word in said(SPOKEN[label])]
    heard = {one.word.text: one.times for one in heard_words(caller.heard_so_far, own)}
    tokens = [bare_word(token) for token in " ".join(_texts(tried, "assistant")).split()]
    known = {word.text for word in own}
    return Counter(heard), Counter(token for token in tokens if token in known)


def words_off(tried: Tried, caller: Caller) -> int:
    """By how many words the memory is not what was heard of the bot's own texts."""
    if not tried.world.contexts:
        return 0
    heard, remembered = _counts(tried, caller)
    return len(set(heard) - set(remembered)) + (remembered - heard).total()


def words_again(tried: Tried, caller: Caller) -> int:
    """How many words were heard more often than they are remembered."""
    if not tried.world.contexts:
        return 0
    heard, remembered = _counts(tried, caller)
    return sum(heard[word] > count for word, count in remembered.items())


_SIDS = re.compile(
    r"\b(?:[A-Z]{2}[0-9a-f]{32}|127\.0\.0\.1:\d+|[\w.-]+-\d+-[0-9a-f]{8})(?:: )?|#\d+"
)


def _ours(lines: Iterable[Any]) -> Iterator[Any]:
    return (one for one in lines if str(one["name"]).split(".")[0] == "twilio_frames")


def _first_line(lines: Iterable[Any]) -> str:
    told = [one["message"] for one in _ours(lines) if one["level"].no >= logging.WARNING]
    if not told:
        return "—"
    first = _SIDS.sub("", told[0].splitlines()[0]).replace("|", "/")
    return first if len(first) <= 110 else first[:109] + "…"


# The rules.

LONGEST_SILENCE_SECS = 7.0
MOST_WORDS_OFF = 1
"""A voice that breaks off may have done so in its last word, or behind it."""
MOST_WORDS_AGAIN = 2
"""What Twilio has of a line that breaks is played, and nobody knows of it."""


def _is_silent(tried: Tried) -> bool:
    caller = tried.caller
    if caller is None or tried.world.front.is_shut:
        return False
    # So long Twilio itself waits for a stream's first answer.
    twilios = 10.0 if any(alert.code == 31901 for alert in caller.alerts) else 0.0
    return longest_silence(caller) > LONGEST_SILENCE_SECS + twilios


def _is_forgotten(tried: Tried) -> bool:
    return tried.caller is not None and words_off(tried, tried.caller) > MOST_WORDS_OFF


def _says_again(tried: Tried) -> bool:
    return tried.caller is not None and words_again(tried, tried.caller) > MOST_WORDS_AGAIN


def _is_held(tried: Tried) -> bool:
    states = [worker.state for worker in tried.world.living]
    return tried.reserved > 0 or any(
        len(state.switchboard) or len(state.outgoing) for state in states
    )


def _has_no_end(tried: Tried) -> bool:
    """Whether a call that had a bot is not told to have ended, by whoever of them lives."""
    records = [one for worker in tried.world.living for one in worker.state.records.latest()]
    return any(record.call is not None or record.phase is StreamPhase.UP for record in records)


def _tells_secrets(tried: Tried) -> bool:
    texts = [str(one["message"]) for one in _ours(tried.lines)]
    words = {bare_word(word) for text in texts for word in text.split()}
    spoken = {*map(bare_word, " ".join(SPOKEN.values()).split()), "latte", "goodbye"}
    return bool(words & spoken) or any(secret in text for text in texts for secret in SECRETS)


RULES: dict[str, Callable[[Tried], bool]] = {
    f"no silence lasts longer than {LONGEST_SILENCE_SECS:g} s, while anything of ours can be "
    "reached": _is_silent,
    "the memory holds the bot's words that were heard, and no others, to within "
    f"{MOST_WORDS_OFF} where a voice breaks off": _is_forgotten,
    f"no more than {MOST_WORDS_AGAIN} words are said again where a line broke": _says_again,
    f"the line is free within {FREE_SECS:g} s": _is_held,
    "each worker that lives has the call's end in its record": _has_no_end,
    "no secret and no word in the log": _tells_secrets,
}
