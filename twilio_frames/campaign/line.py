"""How a campaign asks Twilio: for a call, for what became of it, for one it may have made."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from twilio_frames.campaign.plan import Contact
from twilio_frames.errors import RestError
from twilio_frames.rest import CallOptions, TwilioRest
from twilio_frames.rest.client import CallState

__all__ = ["CampaignLine", "Dial"]

Dial = Callable[[str, str, CallOptions], Awaitable[str]]
"""Has Twilio call a number, whose bot is at a webhook; gives the call's sid."""

_CREATED_BEFORE_SECS = 5.0
"""Twilio dates a call in whole seconds, and its clock is known to a second here."""


class CampaignLine:
    """One account, one number that is called from, one bot that is connected.

    Args:
        rest: The account.
        caller: The number that is called from.
        webhook: The bot's TwiML webhook, as Twilio reaches it.
        options: How each call is placed; a contact's own parameters go before these.
        dial: Asks for a call; None to ask ``rest``.
        is_over: Tells of a call whether it is known to be over, so that Twilio is asked at once
            what came of it. None: it is only asked now and then.
    """

    _ASK_EVERY_SECS = 2.0
    """How long a call may be over without anybody knowing."""
    _ASK_SELDOM_SECS = 15.0
    """The same where somebody tells."""
    _LOOK_EVERY_SECS = 0.25

    def __init__(
        self,
        rest: TwilioRest,
        *,
        caller: str,
        webhook: str,
        options: CallOptions | None = None,
        dial: Dial | None = None,
        is_over: Callable[[str], bool] | None = None,
    ):
        self._rest = rest
        self._caller = caller
        self._webhook = webhook
        self._options = options or CallOptions()
        self._dial = dial or self._ask
        self._is_over = is_over

    async def now(self) -> float:
        """What time it is at Twilio, seconds since 1970.

        Raises:
            RestError: Twilio refused or did not answer.
        """
        if (now := self._rest.now()) is None:
            await self._rest.account()
            now = self._rest.now()
        if now is None:
            raise RestError(
                "expected a date with Twilio's answer, got none: see whether a proxy cuts it off"
            )
        return now

    def request(self, contact: Contact) -> tuple[str, CallOptions]:
        """The webhook and the options of somebody's call.

        Raises:
            ConfigurationError: The contact's parameters do not fit beside those of each call.
        """
        parameters = {**self._options.parameters, **contact.parameters}
        options = replace(self._options, parameters=parameters)
        return options.webhook(self._webhook), options

    async def place(self, contact: Contact) -> str:
        """Have Twilio call somebody; gives the call's sid.

        Raises:
            RestError: Twilio refused, or did not answer.
        """
        return await self._dial(contact.number, *self.request(contact))

    async def made_since(self, number: str, since: float) -> Sequence[CallState]:
        """The calls from our number to another since a moment, the oldest first.

        Raises:
            RestError: Twilio refused or did not answer.
        """
        calls = await self._rest.calls(to=number, from_=self._options.caller_id or self._caller)
        return [
            call
            for call in reversed(calls)
            if call.direction == "outbound-api"
            and call.created_at is not None
            and call.created_at >= since - _CREATED_BEFORE_SECS
        ]

    async def look(self, call_sid: str) -> CallState:
        """How a call stands.

        Raises:
            RestError: Twilio refused or did not answer.
        """
        return await self._rest.fetch(call_sid)

    async def wait(self, call_sid: str, *, is_urgent: bool) -> None:
        """Wait until it is worth to look at a call again.

        Args:
            call_sid: The call.
            is_urgent: Whether more is awaited of it than its end.
        """
        told = self._is_over
        if told is None or is_urgent:
            await asyncio.sleep(self._ASK_EVERY_SECS)
            return
        for _ in range(round(self._ASK_SELDOM_SECS / self._LOOK_EVERY_SECS)):
            if told(call_sid):
                return
            await asyncio.sleep(self._LOOK_EVERY_SECS)

    async def hang_up(self, call_sid: str) -> None:
        """End a call.

        Raises:
            RestError: Twilio refused or did not answer.
        """
        await self._rest.hang_up(call_sid)

    async def _ask(self, to: str, webhook: str, options: CallOptions) -> str:
        caller = options.caller_id or self._caller
        return await self._rest.dial(to, caller, url=webhook, options=options.arguments())
