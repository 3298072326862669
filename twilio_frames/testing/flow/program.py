"""What a call executes: one TwiML document after another, verb by verb."""

import asyncio
from itertools import zip_longest
from typing import assert_never

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.connection import StreamConnection
from twilio_frames.testing.calls.detection import DetectionRules, Detector
from twilio_frames.testing.calls.facts import Alert, CallEnd
from twilio_frames.testing.calls.instructions import (
    Answered,
    Document,
    EnterRoom,
    Fetch,
    Instructions,
    Outcome,
)
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.calls.webhooks import Reply
from twilio_frames.testing.flow.announcements import play_digits, play_file, play_sound, say
from twilio_frames.testing.flow.dialing import dial, sit
from twilio_frames.testing.flow.forks import start_fork, stop_fork
from twilio_frames.testing.flow.gathering import gather
from twilio_frames.testing.flow.queueing import enqueue
from twilio_frames.testing.flow.recording import record
from twilio_frames.testing.stream import StreamEnd
from twilio_frames.testing.verbs import (
    ConnectStream,
    Dial,
    Enqueue,
    Gather,
    Hangup,
    Leave,
    Pause,
    Pay,
    Play,
    PlayDigits,
    Record,
    Redirect,
    Reject,
    Say,
    StartRecording,
    StartStream,
    StopStream,
    Unsupported,
    Verb,
    read_document,
)

_MAX_DOCUMENTS = 100
_XML_TYPES = ("", "text/xml", "application/xml", "text/html")


async def follow(switch: Switch, call: SimulatedCall, instructions: Instructions) -> CallEnd:
    """Has a call follow instructions to their end; gives the reason for which it is to end."""
    return await _Program(switch, call).run(instructions)


class _Program:
    """Executes instructions for one call until they run out or are replaced.

    Args:
        switch: Makes the calls and recordings that they ask for.
        call: The call.
    """

    def __init__(self, switch: Switch, call: SimulatedCall):
        self._switch = switch
        self._call = call
        self._stream_end: StreamEnd | None = None
        self._has_failed = False

    async def run(self, instructions: Instructions) -> CallEnd:
        """Executes them; gives the reason for which the call is to end."""
        outcome = await self.follow(instructions)
        if isinstance(outcome, CallEnd):
            return outcome
        if self._has_failed:
            return CallEnd.FAILED
        return CallEnd.LINE_LOST if self._stream_end is StreamEnd.BROKEN else CallEnd.BOT_HUNG_UP

    async def follow(self, instructions: Instructions) -> CallEnd | Outcome:
        """Executes them; tells their end from the call's."""
        for _ in range(_MAX_DOCUMENTS):
            if isinstance(instructions, Answered):
                instructions = await self._pick_up(instructions)
            if isinstance(instructions, EnterRoom):
                return await self._enter(instructions)
            verbs = await self._verbs(instructions)
            if verbs is None:
                return CallEnd.FAILED
            outcome = await self._execute(verbs)
            if isinstance(outcome, CallEnd | Outcome):
                return outcome
            instructions = outcome
        self._call.alert(
            Alert(code=11215, text=f"expected at most {_MAX_DOCUMENTS} documents, got more")
        )
        return CallEnd.FAILED

    async def _verbs(self, instructions: Fetch | Document | ConnectStream) -> list[Verb] | None:
        if isinstance(instructions, ConnectStream):
            return [instructions]
        if isinstance(instructions, Fetch):
            fetched = await self._fetch(instructions)
            if not isinstance(fetched, Document):
                return fetched
            instructions = fetched
        read = read_document(instructions.twiml, instructions.base_url)
        if isinstance(read, Alert):
            self._call.alert(read)
            return None
        for warning in read.warnings:
            self._call.alert(warning)
        return list(read.verbs)

    async def _fetch(self, fetch: Fetch) -> Document | list[Verb] | None:
        parameters = self._call.parameters() | fetch.parameters
        webhooks = self._call.exchange.webhooks
        reply = await webhooks.request(fetch.url, parameters, method=fetch.method)
        if isinstance(reply, Alert):
            self._call.alert(reply)
            return await self._fall_back(fetch, reply)
        self._call.log.note("twiml", bytes=len(reply.body))
        if reply.content_type in _XML_TYPES:
            return Document(twiml=reply.text, base_url=reply.url)
        return await self._without_twiml(reply)

    async def _fall_back(self, fetch: Fetch, failure: Alert) -> Document | list[Verb] | None:
        if not fetch.fallback_url:
            return None
        told = {"ErrorCode": str(failure.code), "ErrorUrl": fetch.url}
        return await self._fetch(
            Fetch(url=fetch.fallback_url, method=fetch.fallback_method, parameters=told)
        )

    async def _without_twiml(self, reply: Reply) -> list[Verb] | None:
        """What is made of an answer that is no TwiML: text is read out, sound is played."""
        if reply.content_type == "text/plain":
            return [Say(text=reply.text)]
        if reply.content_type.startswith("audio/"):
            self._call.answer()
            await play_sound(self._call, reply)
            return []
        text = f"expected text/xml at {reply.url}, got {reply.content_type}: set the Content-Type"
        self._call.alert(Alert(code=12300, text=text))
        return None

    async def _execute(self, verbs: list[Verb]) -> Instructions | CallEnd | Outcome:
        for verb, behind in zip_longest(verbs, verbs[1:]):
            if _answers(verb):
                self._call.answer()
            self._call.asked_when_updated = _asked_when_cut_short(verb, behind)
            outcome = await self._execute_verb(verb)
            self._call.asked_when_updated = None
            if outcome is not None:
                return outcome
        return Outcome.RAN_OUT

    async def _execute_verb(self, verb: Verb) -> Instructions | CallEnd | Outcome | None:
        call = self._call
        match verb:
            case ConnectStream():
                return await self._connect(verb)
            case StartStream():
                start_fork(call, verb)
            case StopStream(name=name):
                stop_fork(call, name)
            case StartRecording():
                self._switch.record(call, verb)
            case Say():
                await say(call, verb)
            case Play():
                await play_file(call, verb)
            case Pause(seconds=seconds):
                await self._pause(seconds)
            case PlayDigits(digits=digits):
                await play_digits(call, digits)
            case Gather():
                return await gather(call, verb)
            case Pay(action=action, method=method):
                return self._pay(action, method)
            case Record():
                return await record(self._switch, call, verb)
            case Redirect(url=url, method=method):
                return Fetch(url=url, method=method)
            case Hangup():
                return CallEnd.BOT_HUNG_UP
            case Leave():
                return Outcome.LEFT
            case Reject():
                return CallEnd.REJECTED
            case Dial():
                return await dial(self._switch, call, verb)
            case Enqueue():
                return await enqueue(call, verb, self._hold)
            case Unsupported(name=name):
                call.log.note("unsupported", verb=name)
            case _:
                assert_never(verb)
        return None

    def _pay(self, action: str, method: str) -> Fetch | None:
        """Asks nothing, and tells what the account says comes of it."""
        result = self._call.exchange.rules.payment_result
        self._call.log.note("pay", result=result)
        self._call.ready.set()
        return Fetch(url=action, method=method, parameters={"Result": result}) if action else None

    async def _pause(self, seconds: float) -> None:
        if self._call.is_answered:
            self._call.ready.set()
        await asyncio.sleep(seconds)

    async def _connect(self, verb: ConnectStream) -> Instructions | None:
        connection = StreamConnection(self._call, verb)
        self._stream_end = await connection.run()
        self._has_failed = self._stream_end is None
        if not verb.action:
            return None
        return Fetch(url=verb.action, method=verb.method, parameters=connection.parameters())

    async def _hold(self, fetch: Fetch) -> CallEnd | Outcome:
        """Has the caller listen to what a queue plays; the queue decides what comes of it."""
        return await _Program(self._switch, self._call).follow(fetch)

    async def _pick_up(self, answered: Answered) -> Fetch | Document:
        self._call.answer()
        if answered.send_digits:
            await play_digits(self._call, answered.send_digits)
        rules = answered.detection
        if rules is None:
            return answered.then
        if rules.callback:
            self._call.run_aside(_detect_aside(self._call, rules))
            return answered.then
        await _detect(self._call, rules)
        return answered.then

    async def _enter(self, enter: EnterRoom) -> CallEnd:
        call = self._call
        call.answer()
        call.ready.set()
        if enter.send_digits:
            await play_digits(call, enter.send_digits)
        if enter.whisper is not None:
            whispered = await _Program(self._switch, call).follow(enter.whisper)
            if isinstance(whispered, CallEnd):
                return whispered
        enter.entered.set()
        await sit(call, enter.room)
        return CallEnd.BOT_HUNG_UP


def _answers(verb: Verb) -> bool:
    """Whether the call is answered for it: a leading ``<Pause>`` delays the answer."""
    if isinstance(verb, Dial):
        return not verb.answers_on_bridge
    return not isinstance(verb, Pause | Reject | Redirect | Unsupported)


def _asked_when_cut_short(verb: Verb, behind: Verb | None) -> Fetch | None:
    """What is asked all the same where other instructions cut a ``<Dial>`` short.

    Source: https://www.twilio.com/en-us/changelog/changes-to-dial-behavior-for-enhanced-programmable-sip-feature-accounts
    """
    match verb, behind:
        case Dial(action=url, method=method), _ if url:
            return Fetch(url=url, method=method)
        case Dial(), Redirect(url=url, method=method):
            return Fetch(url=url, method=method)
        case _:
            return None


async def _detect(call: SimulatedCall, rules: DetectionRules) -> Detector:
    """Listens until it is known who picked up; the call says so from then on."""
    detector = Detector(rules)
    call.ready.set()
    call.taps.add(detector)
    try:
        while detector.verdict is None:
            await call.line.next_turn()
    finally:
        call.taps.remove(detector)
    call.answered_by = detector.verdict
    call.log.note(
        "machine_detection", answered_by=detector.verdict, milliseconds=detector.milliseconds
    )
    return detector


async def _detect_aside(call: SimulatedCall, rules: DetectionRules) -> None:
    """Does so while the call goes on, and posts the verdict."""
    detector = await _detect(call, rules)
    told = {
        "CallSid": call.sid,
        "AccountSid": call.exchange.account_sid,
        "AnsweredBy": detector.verdict or "unknown",
        "MachineDetectionDuration": str(detector.milliseconds),
    }
    call.callbacks.post("async-amd", rules.callback, told, rules.callback_method)
