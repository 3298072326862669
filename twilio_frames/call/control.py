"""What a bot can do with its call as a telephone: send it elsewhere, put it through, press keys."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Literal

from pipecat.frames.frames import (
    LLMMessagesAppendFrame,
)
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.call.detours import Detours
from twilio_frames.call.hold import Hold
from twilio_frames.call.plans import DetourResult, Legs
from twilio_frames.call.recording import TwilioRecording
from twilio_frames.call.running import RunningCall
from twilio_frames.call.transfers import (
    Transfer,
    TransferOutcome,
    TransferResult,
    dials_to,
    read_people,
    transfer_function,
)
from twilio_frames.call.transfers.consulting import Briefing, Consult, Consults, no_account
from twilio_frames.call.transfers.silent_listener import SilentListener
from twilio_frames.call.transfers.warm import WarmTransfer, warm_transfer_function
from twilio_frames.frames import Act, DetourFrame
from twilio_frames.rest import TwilioRest
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.transport import TwilioTransport
from twilio_frames.twiml import Dial, PlayDigits, Verb

__all__ = ["CallControl"]


class CallControl(RunningCall):
    """What a bot can do with its call, beside talking.

    Args:
        transport: The call's.
        call_sid: The call.
        rest: The account's REST API; None where there is none.
    """

    def __init__(self, transport: TwilioTransport, call_sid: str, rest: TwilioRest | None):
        super().__init__(transport, call_sid, rest)
        self.detours = Detours(transport, call_sid, rest)
        """The call's ways to other TwiML and back, as the server sees to them."""
        self.recording = TwilioRecording(call_sid, rest, keep_out=transport.keep_out)
        """Twilio's own recording of the call, if it is asked for one."""
        self.consults = Consults()
        """Those who are asked whether they take a caller, as the server sees to them."""
        self.hold_music = Hold(
            transport,
            self.detours,
            tell=self.tell,
            leave=self._queue_detour,
            said_so_far=self.said_so_far,
        )
        """What the caller hears while they are on hold."""
        self._actions: set[asyncio.Task[object]] = set()
        transport.see_to_actions(self._act)

    async def hang_up(self) -> None:
        """End the call when what was said before was heard."""
        raise NotImplementedError

    async def line_ended(self) -> None:
        """Return once the call is over, whoever ended it."""
        raise NotImplementedError

    def _act(self, act: Act) -> None:
        async def acts() -> object:
            return await act(self)

        acting = asyncio.create_task(acts(), name="call-action")
        self._actions.add(acting)
        acting.add_done_callback(self._acted)

    def _acted(self, acting: "asyncio.Task[object]") -> None:
        self._actions.discard(acting)
        error = None if acting.cancelled() else acting.exception()
        if error is not None:
            report_unforeseen(error, f"call {self.call_sid}: a CallActionFrame")

    async def detour(
        self,
        *verbs: Verb,
        at_once: bool = False,
        by_rest: bool = False,
        within_secs: float | None = None,
        when_busy: Literal["wait", "refuse"] = "wait",
        legs: Legs | None = None,
    ) -> DetourResult:
        """Leave the stream, have Twilio do something else with the call, and come back.

        What was said before is heard first. Meanwhile the bot is deaf, and what it says waits; its
        pipeline, its memory and its connections stay as they are. The pipeline is told by a
        :class:`~twilio_frames.frames.CallAwayFrame` and a
        :class:`~twilio_frames.frames.CallBackFrame`. Needs no Twilio credentials, and the webhooks
        of :mod:`twilio_frames.server`.

        Args:
            verbs: What Twilio does, in order: see :mod:`twilio_frames.twiml`.
            at_once: Whether the call leaves in the middle of what is being said; the bot says on
                from there when it is back.
            by_rest: Whether Twilio's REST API is asked for it, which needs credentials, rather
                than the stream closed, which Twilio follows by asking its webhook what to do.
            within_secs: How long it may be away before it counts as lost
                (``CallEndReason.NOT_BACK``); by default what the verbs may take.
            when_busy: Whether a detour that another one is in the way of waits for its end.
            legs: What those hear whom it calls, and who is told when they answer.

        Raises:
            DetourError: The call ended meanwhile, or Twilio could not do the verbs, in which case
                the call is back.
            ConfigurationError: The verbs are none that Twilio takes; or the call has no server of
                ours, or ``by_rest`` no credentials.
            RestError: ``by_rest``, and Twilio refused; the call has not left.
        """
        return await self.detours.take(
            verbs,
            self._queue_detour,
            at_once=at_once,
            by_rest=by_rest,
            within_secs=within_secs,
            when_busy=when_busy,
            legs=legs,
        )

    async def transfer(
        self,
        *targets: str,
        announce: str | None = None,
        ring_secs: int = 25,
        caller_id: str | None = None,
        whisper: str | None = None,
        sip_headers: Mapping[str, str] | None = None,
        stays: bool = False,
        on_unavailable: Literal["return", "end"] = "return",
        dial: Dial | None = None,
    ) -> TransferResult:
        """Put the caller through to somebody, without a word about them (a cold transfer).

        What was said before, and the announcement, are heard to their last word. Where nobody takes
        the call, the caller is back with the same bot and memory.

        Args:
            targets: Whom to call, one after the other until somebody answers: numbers (``+1...``),
                SIP addresses (``sip:...``), clients (``client:...``); or queues (``queue:...``),
                where the caller waits with music until a person takes them out.
            announce: What the bot says first.
            ring_secs: How long each of them rings; the caller hears it ring.
            caller_id: Whom they see calling: a number of the account. None for the caller's own.
            whisper: What they hear before they are connected, in Twilio's voice.
            sip_headers: ``X-...`` headers for SIP addresses.
            stays: Whether the caller comes back to the bot when they have talked. If not, the bot's
                part ends as soon as somebody answers, as ``TRANSFERRED``.
            on_unavailable: Whether the caller comes back where nobody answers, or the call ends.
            dial: More of Twilio's: time limit, extension, queue. Its targets are left out.

        Raises:
            ConfigurationError: A target is none.
            DetourError: Twilio could not do it, and the call is back.
        """
        wanted = dial or Dial(targets=("client:nobody",), ring_secs=ring_secs)
        if caller_id is not None:
            wanted = replace(wanted, caller_id=caller_id)
        dials = dials_to(targets, wanted, sip_headers or {})
        if announce:
            await self.say(announce)
        result = await Transfer(self, dials, whisper=whisper, stays=stays).run()
        was_answered = result.outcome is TransferOutcome.ANSWERED
        if result.is_back and not was_answered and on_unavailable == "end":
            await self.hang_up()
        if result.is_back and was_answered and not stays:
            # Nobody tells when a caller is taken out of a queue, but at the end.
            await self.leave()
            return replace(result, is_back=False)
        return result

    def transfer_function(
        self, people: Mapping[str, str], *, asks_first: bool = True, **options: Any
    ) -> Any:
        """The function by which a model puts its caller through, for ``LLMContext(tools=[...])``.

        Args:
            people: Whom it may call, by the names it knows them by.
            asks_first: Whether the caller has to have agreed.
            options: As for :meth:`transfer`.
        """
        return transfer_function(
            people, lambda target: self.transfer(target, **options), asks_first=asks_first
        )

    def on_hold(self, music: str | bytes) -> AbstractAsyncContextManager[None]:
        """Let the caller wait with music, from when what was said was heard to the end of this.

        ::

            async with call.on_hold("https://example.com/music.mp3"):
                price = await slow_question()

        The bot is deaf meanwhile, and what it says comes behind. :meth:`hold` and :meth:`resume`
        are the same where the end is elsewhere than the beginning.

        Args:
            music: The URL of a file, which Twilio plays and plays again: the call leaves its stream
                for it, and credentials are needed to take it back. Or mu-law of your own, 8000
                bytes a second, which is played on the stream.

        Raises:
            ConfigurationError: A URL without Twilio credentials, or nothing to play.
            DetourError: The call ended meanwhile.
        """
        return self.hold_music.playing(music)

    async def hold(self, music: str | bytes) -> None:
        """Put the caller on hold until :meth:`resume`; all else as for :meth:`on_hold`.

        Raises:
            ConfigurationError: They are on hold, or as for :meth:`on_hold`.
            DetourError: The call ended meanwhile.
        """
        await self.hold_music.begin(music)

    async def resume(self) -> None:
        """Take the caller off hold; does nothing where they are on none.

        Raises:
            DetourError: The call ended meanwhile.
            RestError: Twilio refused, or did not answer.
        """
        await self.hold_music.end()

    async def warm_transfer(
        self,
        *targets: str,
        briefing: Briefing | str,
        announce: str | None = None,
        hold: str | bytes | None = None,
        ring_secs: int = 25,
        caller_id: str | None = None,
        listen_with: Callable[[], FrameProcessor] | None = None,
    ) -> TransferResult:
        """Put the caller through to somebody who was told about them, and has accepted.

        The caller stays with the bot meanwhile. Only when somebody accepts are both put into a
        room, and the bot's part ends, as ``TRANSFERRED``, unless it listens. In any other case the
        caller still is with the bot, or back. Needs Twilio credentials, and the webhooks of
        :mod:`twilio_frames.server`.

        Args:
            targets: Whom to ask, one after the other until somebody accepts: numbers (``+1...``),
                SIP addresses (``sip:...``), clients (``client:...``).
            briefing: What they are told; a text is told by Twilio's voice, and accepted by a 1.
            announce: What the bot says before the caller is moved.
            hold: Music that the caller hears until somebody decides, as for :meth:`on_hold`; None
                where they go on talking with the bot.
            ring_secs: How long each of them rings.
            caller_id: Whom they see calling: a number of the account. None for
                ``TWILIO_PHONE_NUMBER``.
            listen_with: Makes a recogniser, one for each side. With it the bot stays as a silent
                listener: what both say goes into its model's context, and it says nothing. When the
                person hangs up, the caller is back with the bot.

        Raises:
            ConfigurationError: Without credentials, or a target is none.
            DetourError: Twilio could not do it, and the call is back.
            RestError: Twilio would not call them, or not fetch the caller back.
        """
        told = Briefing(summary=briefing) if isinstance(briefing, str) else briefing
        rest, place, base_url = self.rest, self.consults.place, self.detours.base_url
        if rest is None or place is None or base_url is None:
            raise no_account()
        called = read_people(targets)
        result = TransferResult(outcome=TransferOutcome.FAILED)
        for tried, to in enumerate(called, 1):
            silent = SilentListener(listen_with, self._overhear) if listen_with else None
            consult = Consult(told, base_url, silent)
            transfer = WarmTransfer(
                self, consult, self.consults, announce=announce, hold=hold, end_leg=rest.hang_up
            )
            calling = place(consult, to=to, caller_id=caller_id, ring_secs=ring_secs)
            result = replace(await transfer.run(calling, ring_secs), tried=tried)
            if not result.is_back or result.outcome is TransferOutcome.ANSWERED:
                break
        return result

    async def _overhear(self, who: str, text: str) -> None:
        """Remembers what was said when the bot only listened."""
        message: Any = {"role": "developer", "content": f"Overheard, the {who}: {text}"}
        await self.tell(LLMMessagesAppendFrame(messages=[message], run_llm=False))

    def warm_transfer_function(
        self,
        people: Mapping[str, str],
        *,
        asks_first: bool = True,
        briefing: Briefing | None = None,
        **options: Any,
    ) -> Any:
        """The function by which a model has somebody asked, and its caller put through.

        The model writes the summary, and goes on talking with the caller meanwhile.

        Args:
            people: Whom it may call, by the names it knows them by.
            asks_first: Whether the caller has to have agreed.
            briefing: How they are told the model's summary, which takes the place of its own.
            options: As for :meth:`warm_transfer`.
        """

        def put_through(target: str, summary: str) -> Coroutine[Any, Any, TransferResult]:
            told = replace(briefing or Briefing(summary=""), summary=summary)
            return self.warm_transfer(target, briefing=told, **options)

        return warm_transfer_function(people, put_through, asks_first=asks_first)

    async def send_digits(self, digits: str) -> None:
        """Press keys for the other end, a menu's say, when what was said before was heard.

        Args:
            digits: Of ``0-9*#``, and ``w`` for half a second of silence.

        Raises:
            ConfigurationError: If there are others.
            DetourError: The call ended meanwhile.
        """
        await self.detour(PlayDigits(digits=digits))

    async def _queue_detour(self, frame: DetourFrame) -> None:
        await (await self.running_worker()).queue_frame(frame)
