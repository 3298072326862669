"""A script carried out by a caller, turn by turn, and what came of each expectation.

Theory of operation
-------------------
Every expectation has an *anchor*: the moment from which its time runs. It is the end of what the
caller said or pressed last; for an interruption it is the first sound of it. What is expected is
looked for behind a *mark*, which begins at the anchor and moves up to whatever was found, so that
expectations are met in order. A turn without any input goes on from the mark of the one before.

What the bot says is seen as the spells of sound at the ear. Words are looked for when the bot has
finished, in everything heard behind the mark; if they are not there, more may come in time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import CallFailedError
from twilio_frames.testing.callers.caller import STUBBORN_SECS, Caller
from twilio_frames.testing.callers.ear import Spell
from twilio_frames.testing.callers.hearing import Hearing
from twilio_frames.testing.callers.voice import Utterance
from twilio_frames.testing.scripts.checks import Check, judge
from twilio_frames.testing.scripts.script import Event, Expectation, Script, ScriptTurn, SendAfter
from twilio_frames.testing.speech import CALLER_VOICE, to_one_utterance

FINISHED_SECS = 0.8
"""How long the bot must have been silent to have finished."""

_SPEAKING_SECS = 600.0
_BEGINNINGS = {Event.RESPONSE: Event.BOT_STARTED_SPEAKING}
"""What must not even begin if something is to be absent."""


@dataclass(slots=True)
class Performance:
    """A caller who follows a script.

    Parameters:
        script: What to do.
        hearing: Tells which words were heard.
        checks: What came of each expectation so far.
    """

    script: Script
    hearing: Hearing = field(default_factory=Hearing)
    checks: list[Check] = field(default_factory=list)
    _utterances: list[Utterance | None] = field(default_factory=list)
    _began: float = 0.0
    _anchor: float = 0.0
    _mark: float = 0.0
    _found: dict[Event, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything was as expected so far."""
        return all(check.passed for check in self.checks)

    async def prepare(self) -> None:
        """Makes all that takes time, so that the call does not wait for it.

        Raises:
            ConfigurationError: If a file cannot be read, or a word cannot be listened for.
            MissingExtraError: If words are to be spoken or recognised without the ``local`` extra.
        """
        voice = self.script.voice or CALLER_VOICE
        self._utterances = [
            await to_one_utterance(turn.say, voice=voice) if turn.say else None
            for turn in self.script.turns
        ]
        await self.hearing.prepare(self.script.phrases)

    async def perform(self, caller: Caller) -> None:
        """Does all turns; leaves the call up, unless the script hangs up."""
        for number, turn in enumerate(self.script.turns, start=1):
            where = turn.where or f"turn {number}"
            try:
                await self._take_turn(caller, turn, self._utterances[number - 1], where)
            except CallFailedError as error:
                self.checks.append(
                    Check(expected="a call that goes on", got=str(error), passed=False, where=where)
                )
                return
            if not self.passed and self.script.stop_on_failure:
                return

    def judge(self, caller: Caller) -> None:
        """Judges the whole call, once it is over."""
        self.checks += judge(caller.result, self.script.limits, caller.log.entries)

    async def _take_turn(
        self, caller: Caller, turn: ScriptTurn, utterance: Utterance | None, where: str
    ) -> None:
        if utterance or turn.dtmf or turn.wait or turn.hang_up_after is not None:
            if not await self._is_time(caller, turn.send_after):
                self.checks.append(_too_early(caller, turn, where))
                return
            await self._do(caller, turn, utterance)
        for expectation in turn.expect:
            self.checks.append(await self._check(caller, expectation, where))
            if not self.checks[-1].passed:
                return

    async def _is_time(self, caller: Caller, after: SendAfter | None) -> bool:
        """Waits for the moment to begin; whether it came."""
        if after is None:
            return await caller.wait_until(
                lambda: caller.bot_is_silent(FINISHED_SECS) or not caller.bot_spells,
                seconds=_SPEAKING_SECS,
            )
        moment: float | None = self._anchor
        if after.event is not None:
            awaited = Expectation(event=after.event, from_turn_start=True)
            until = caller.now + _SPEAKING_SECS
            moment = await self._next(caller, awaited, float("-inf"), until)
        if moment is None:
            return False
        due = moment + after.delay
        return await caller.wait_until(lambda: caller.now >= due, seconds=_SPEAKING_SECS)

    async def _do(self, caller: Caller, turn: ScriptTurn, utterance: Utterance | None) -> None:
        self._began = self._anchor = caller.now
        hang_up_at = caller.now + turn.hang_up_after if turn.hang_up_after is not None else None
        if utterance is not None:
            await caller.start_saying(utterance)
            await caller.wait_until(
                lambda: utterance.ended_at is not None or _has_passed(caller, hang_up_at),
                seconds=_SPEAKING_SECS,
            )
            self._began = utterance.speech_began_at or self._began
            self._anchor = min(utterance.speech_ended_at or caller.now, caller.now)
        if turn.dtmf:
            await caller.press(turn.dtmf)
            self._anchor = caller.last_input_at
        if turn.wait:
            await caller.wait_until(lambda: _has_passed(caller, hang_up_at), seconds=turn.wait)
        if turn.hang_up_after is not None:
            await caller.hang_up()
        self._mark = self._anchor
        self._found.clear()

    async def _check(self, caller: Caller, expectation: Expectation, where: str) -> Check:
        where = expectation.where or where
        if expectation.absent:
            return await self._check_absence(caller, expectation, where)
        deadline = self._from(expectation) + expectation.seconds
        got, moment = await self._await(caller, expectation, deadline)
        if moment is not None:
            self._found[expectation.event] = moment
            if not expectation.from_turn_start:
                self._mark = max(self._mark, moment)
        return Check(
            expected=str(expectation),
            got=got or self._later(expectation, moment or 0.0),
            passed=moment is not None and moment <= deadline and not got,
            where=where,
        )

    def _from(self, expectation: Expectation) -> float:
        return self._began if expectation.event is Event.BOT_INTERRUPTED else self._anchor

    def _later(self, expectation: Expectation, moment: float) -> str:
        return f"it after {max(0.0, moment - self._from(expectation)) * 1000:.0f} ms"

    async def _check_absence(self, caller: Caller, expectation: Expectation, where: str) -> Check:
        deadline = max(self._mark, self._from(expectation)) + expectation.seconds
        look = replace(expectation, event=_BEGINNINGS.get(expectation.event, expectation.event))
        moment = await self._next(caller, look, _after(self._found, look), deadline)
        came = moment is not None and moment <= deadline
        return Check(
            expected=str(expectation),
            got=self._later(expectation, moment or 0.0) if came else "none",
            passed=not came,
            where=where,
        )

    async def _await(
        self, caller: Caller, expectation: Expectation, deadline: float
    ) -> tuple[str, float | None]:
        """Waits for an event; gives what was wrong with it, and when it came."""
        began = seen = _after(self._found, expectation)
        problem = ""
        # What ended in time is known to have ended only a while later.
        patience = deadline + FINISHED_SECS + 0.1
        while True:
            found = await self._next(caller, expectation, seen, patience)
            if found is None:
                return problem or self._instead(caller), seen if problem else None
            seen = found
            problem = await self._problem(caller, expectation, max(began, self._anchor), found)
            if not problem or found > deadline or not expectation.phrases:
                return problem, seen

    async def _next(
        self, caller: Caller, expectation: Expectation, after: float, until: float
    ) -> float | None:
        moment: float | None = None

        def has_come() -> bool:
            nonlocal moment
            moment = self._happened(caller, expectation, after)
            return moment is not None

        await caller.wait_until(has_come, seconds=max(0.0, until - caller.now))
        return moment if has_come() else None

    def _happened(self, caller: Caller, expectation: Expectation, after: float) -> float | None:
        """When the first such event came after another; None if it has not."""
        mark = self._anchor if expectation.from_turn_start else self._mark
        answers = _answers(caller.bot_spells, self._anchor)
        match expectation.event:
            case Event.BOT_STARTED_SPEAKING:
                begins = (max(spell.began_at, self._anchor) for spell in answers)
                return next((at for at in begins if at > after and at >= mark), None)
            case Event.BOT_STOPPED_SPEAKING | Event.RESPONSE:
                if not answers or not _has_finished(caller):
                    return None
                end = answers[-1].ended_at
                return end if end > after and end >= mark else None
            case Event.BOT_INTERRUPTED:
                return self._interrupted(caller)
            case Event.CALL_ENDED:
                return None if caller.is_connected else caller.now
            case Event.WARNING:
                codes = [alert.code for alert in caller.alerts]
                came = bool(codes) if expectation.code is None else expectation.code in codes
                return self._anchor if came else None

    def _interrupted(self, caller: Caller) -> float | None:
        """When the bot fell silent that was speaking as the caller began."""
        spells = caller.bot_spells
        over = [spell for spell in spells if spell.began_at <= self._began < spell.ended_at]
        if not over:
            return None
        is_silent = over[0] is not spells[-1] or not caller.hears_bot or not caller.is_connected
        return over[0].ended_at if is_silent else None

    async def _problem(
        self, caller: Caller, expectation: Expectation, begin: float, end: float
    ) -> str:
        """What is wrong with an event that came; nothing, if it is as expected."""
        if expectation.reason is not None:
            got = caller.end.value if caller.end else "no end"
            return "" if got == expectation.reason else repr(got)
        if not expectation.phrases:
            return ""
        behind = round((end + 0.2) * SAMPLE_RATE)
        begin = max(0.0, begin)
        heard = caller.heard_so_far[:behind]
        contained, excluded = expectation.text_contains, expectation.text_excludes
        if contained is not None and not await self.hearing.has_heard(contained, heard, begin):
            return self._words(heard, begin)
        if excluded is not None and await self.hearing.has_heard(excluded, heard, begin):
            return repr(excluded)
        return ""

    def _words(self, heard: bytes, begin: float) -> str:
        words = self.hearing.words(heard, begin)
        if words is None:
            return "a response in which it was not recognised"
        return repr(" ".join(word.text for word in words))

    def _instead(self, caller: Caller) -> str:
        if caller.end is not None:
            return f"the end of the call ({caller.end.value})"
        is_speaking = _answers(caller.bot_spells, self._anchor) and caller.hears_bot
        return "a bot that speaks on" if is_speaking else "nothing"


def _after(found: Mapping[Event, float], expectation: Expectation) -> float:
    return found.get(expectation.event, float("-inf"))


def _answers(spells: Sequence[Spell], anchor: float) -> list[Spell]:
    """What the bot said since the caller did; not the tail of what was talked over."""
    return [
        spell
        for spell in spells
        if spell.began_at >= anchor or spell.ended_at > anchor + STUBBORN_SECS
    ]


def _has_finished(caller: Caller) -> bool:
    return not caller.is_connected or caller.bot_is_silent(FINISHED_SECS)


def _has_passed(caller: Caller, moment: float | None) -> bool:
    return moment is not None and caller.now >= moment


def _too_early(caller: Caller, turn: ScriptTurn, where: str) -> Check:
    event = turn.send_after.event if turn.send_after else None
    return Check(
        expected=f"{event or 'a bot that finishes'} before the caller goes on",
        got=f"the end of the call ({caller.end.value})" if caller.end else "nothing",
        passed=False,
        where=where,
    )
