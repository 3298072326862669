"""One account's calls over the REST API."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar, cast

from twilio.base.exceptions import (
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.base.values import unset
from twilio.http.response import Response
from twilio.rest import Client
from twilio.rest.api.v2010.account import AccountInstance
from twilio.rest.api.v2010.account.call import CallInstance
from twilio.rest.api.v2010.account.incoming_phone_number import IncomingPhoneNumberInstance

from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.rest.credentials import Credentials
from twilio_frames.rest.http import BoundedHttpClient
from twilio_frames.rest.numbers import without_numbers
from twilio_frames.rest.options import CALL_EVENTS

__all__ = ["CallState", "TwilioRest"]

_OVER_ALREADY = {20404, 21220}
_Told = TypeVar("_Told")


FINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""The statuses of a call that is over, see
https://www.twilio.com/docs/voice/api/call-resource#call-status-values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState:
    """A call as Twilio sees it at one moment, without its numbers.

    Parameters:
        call_sid: The call.
        status: ``queued``, ``ringing``, ``in-progress``, ``completed``, ``busy``, ``failed``,
            ``no-answer`` or ``canceled``.
        direction: ``inbound``, ``outbound-api`` or ``outbound-dial``.
        duration: Seconds from answer to end, None before the end.
        answered_by: The verdict of machine detection, None without one.
        created_at: When it was asked for, in whole seconds since 1970.
        queue_secs: How long it waited for its turn.
    """

    call_sid: str
    status: str
    direction: str | None = None
    duration: int | None = None
    answered_by: str | None = None
    created_at: float | None = None
    queue_secs: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """An account as Twilio sees it.

    Parameters:
        status: ``active``, ``suspended`` or ``closed``.
        kind: ``Full`` or ``Trial``.
    """

    status: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberState:
    """What is set for one of the account's numbers, without the number.

    Parameters:
        voice_url: The webhook that is asked when it is called.
        voice_method: By which HTTP method.
        application_sid: A TwiML application that is asked instead.
        trunk_sid: A SIP trunk that gets its calls instead.
        takes_calls: Whether it is a number for calls.
    """

    voice_url: str | None
    voice_method: str
    application_sid: str | None
    trunk_sid: str | None
    takes_calls: bool


def _read_sid(resource: Any) -> str:
    return str(resource.sid)


def _read_live_sids(recordings: Sequence[Any]) -> Sequence[str]:
    return [str(one.sid) for one in recordings if one.status in ("in-progress", "paused")]


def _read(call: CallInstance) -> CallState:
    if not isinstance(call.sid, str) or not call.sid:
        raise RestError("expected a call with a sid from Twilio, got none: check the base URL")
    duration = str(call.duration) if call.duration is not None else ""
    queued = str(call.queue_time or "")
    return CallState(
        call_sid=call.sid,
        status=str(call.status),
        direction=call.direction,
        duration=int(duration) if duration.isdecimal() else None,
        answered_by=call.answered_by,
        created_at=call.date_created.timestamp() if call.date_created else None,
        queue_secs=int(queued) / 1000 if queued.isdecimal() else 0.0,
    )


def _read_all(calls: Sequence[CallInstance]) -> Sequence[CallState]:
    return [_read(call) for call in calls]


def _read_account(account: AccountInstance) -> AccountState:
    return AccountState(status=str(account.status), kind=str(account.type))


def _read_numbers(numbers: Sequence[IncomingPhoneNumberInstance]) -> Sequence[NumberState]:
    return [
        NumberState(
            voice_url=number.voice_url or None,
            voice_method=number.voice_method or "POST",
            application_sid=number.voice_application_sid or None,
            trunk_sid=number.trunk_sid or None,
            # The SDK's type says a text; it is an object.
            takes_calls=bool(cast("Any", number.capabilities or {}).get("voice", True)),
        )
        for number in numbers
    ]


class TwilioRest:
    """One account's calls over the REST API.

    Use it as an async context manager, or close it.

    Args:
        credentials: The account.
        base_url: Where to send requests instead of ``https://api.twilio.com``, such as the
            address of a simulated Twilio. Path, form and authorization stay what Twilio gets.
        timeout: Seconds one request may take.
        retry_for: Seconds within which a request that was not processed is sent again.
        backoff: Seconds before the second attempt, doubled for each one after it.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        base_url: str | None = None,
        timeout: float = 10.0,
        retry_for: float = 10.0,
        backoff: float = 0.5,
    ):
        self._http = BoundedHttpClient(base_url, timeout)
        self._account_sid = credentials.account_sid
        self._client = Client(
            credentials.api_key or credentials.account_sid,
            credentials.api_secret or credentials.auth_token,
            credentials.account_sid,
            region=credentials.region,
            edge=credentials.edge,
            http_client=self._http,
        )
        self._retry_for = retry_for
        self._backoff = backoff

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        await self._http.close()

    async def dial(
        self,
        to: str,
        from_: str,
        *,
        url: str | None = None,
        twiml: str | None = None,
        status_callback: str | None = None,
        status_events: tuple[str, ...] = CALL_EVENTS,
        ring_secs: int | None = None,
        time_limit: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """Place a call and return its sid; Twilio may queue it before it rings.

        Args:
            to: Whom to call, in E.164 form.
            from_: A number of the account, or a verified caller id.
            url: The webhook that says what the answered call does.
            twiml: What the answered call does, instead of a webhook (4000 characters at most).
            status_callback: The webhook that is told how the call goes.
            status_events: Which events it is told.
            ring_secs: How long to let it ring (Twilio's default is 60).
            time_limit: Seconds after which Twilio ends the call.
            options: More arguments of the SDK's ``calls.create``, such as
                ``send_digits``, or what ``CallOptions.arguments()`` gives.

        Raises:
            ConfigurationError: Both or neither of ``url`` and ``twiml``.
            RestError: Twilio refused, or did not answer. Unless ``retryable``, the phone may ring.
        """
        if (url is None) == (twiml is None):
            raise ConfigurationError("expected either url or twiml, got both or neither: pass one")
        wanted = {
            "url": url,
            "twiml": twiml,
            "status_callback": status_callback,
            "status_callback_event": list(status_events) if status_callback else None,
            "timeout": ring_secs,
            "time_limit": time_limit,
        }
        given = _given(wanted) | dict(options or {})
        create = self._client.calls.create_async
        placed = await self._send(lambda: create(to=to, from_=from_, **given), once=True)
        return placed.call_sid

    async def fetch(self, call_sid: str) -> CallState:
        """Ask how a call stands.

        Raises:
            RestError: Twilio refused or did not answer; ``status`` 404 if there is no such call.
        """
        return await self._send(lambda: self._client.calls(call_sid).fetch_async())

    async def calls(
        self, *, to: str | None = None, from_: str | None = None, most: int = 50
    ) -> Sequence[CallState]:
        """Ask for the account's latest calls, the newest first.

        Those that wait in the queue are among them; a filter by ``StartTime`` would leave them out,
        since they have none yet.

        Args:
            to: Of calls to this number alone.
            from_: Of calls from this number alone.
            most: So many at most.

        Raises:
            RestError: Twilio refused or did not answer.
        """
        wanted = _given({"to": to, "from_": from_})
        listed = self._client.calls.list_async
        return await self._send(lambda: listed(**wanted, limit=most, page_size=most), _read_all)

    async def account(self) -> AccountState:
        """Ask how the account stands.

        Raises:
            RestError: Twilio refused or did not answer; ``status`` 401 if it knows no such account
                or secret.
        """
        ask = self._client.api.accounts(self._account_sid).fetch_async
        return await self._send(ask, _read_account)

    async def numbers(self, number: str) -> Sequence[NumberState]:
        """Ask what the account has set for one of its numbers; nothing if it is none of its own.

        Raises:
            RestError: Twilio refused or did not answer.
        """
        listed = self._client.incoming_phone_numbers.list_async
        return await self._send(lambda: listed(phone_number=number, limit=1), _read_numbers)

    def now(self) -> float | None:
        """What time it is at Twilio, by the date of its latest answer: a second late at most.

        Seconds since 1970; None where no answer came within the last minute. No change of this
        machine's clock moves it.
        """
        return self._http.now()

    async def update(
        self, call_sid: str, *, url: str | None = None, twiml: str | None = None
    ) -> CallState:
        """Make a live call do something else; its media stream ends at once.

        What is passed must itself keep the call up, or the call ends with it.

        Raises:
            ConfigurationError: Both or neither of ``url`` and ``twiml``.
            RestError: Twilio refused, or did not answer. Code 21220: the call is over.
        """
        if (url is None) == (twiml is None):
            raise ConfigurationError("expected either url or twiml, got both or neither: pass one")
        given = _given({"url": url, "twiml": twiml})
        update = self._client.calls(call_sid).update_async
        return await self._send(lambda: update(**given), once=True)

    async def record(
        self, call_sid: str, *, channels: str = "dual", status_callback: str | None = None
    ) -> str:
        """Have Twilio record a live call, and return the recording's sid (``RE...``).

        Args:
            call_sid: The call.
            channels: ``dual``, the caller on one and the bot on the other, or ``mono``.
            status_callback: The webhook that is told when the recording begins and is complete.

        Raises:
            RestError: Twilio refused, or did not answer: it may record all the same.
        """
        events = ["in-progress", "completed", "absent"] if status_callback else None
        wanted = {
            "recording_channels": channels,
            "recording_status_callback": status_callback,
            "recording_status_callback_event": events,
        }
        create = self._client.calls(call_sid).recordings.create_async
        return await self._send(lambda: create(**_given(wanted)), _read_sid, once=True)

    async def live_recordings(self, call_sid: str) -> Sequence[str]:
        """Ask for the sids of a call's recordings that are not complete, the newest first.

        Raises:
            RestError: Twilio refused or did not answer.
        """
        listed = self._client.calls(call_sid).recordings.list_async
        return await self._send(lambda: listed(limit=20), _read_live_sids)

    async def update_recording(
        self, call_sid: str, recording_sid: str, status: Literal["paused", "in-progress", "stopped"]
    ) -> None:
        """Pause a recording, which is silence then, go on with it, or end it for good.

        Raises:
            RestError: Twilio refused, or did not answer.
        """
        update = self._client.calls(call_sid).recordings(recording_sid).update_async
        silent = "silence" if status == "paused" else None
        given = _given({"status": status, "pause_behavior": silent})
        await self._send(lambda: update(**given), _read_sid)

    async def hang_up(self, call_sid: str) -> None:
        """End a call; one that is over already is no error.

        Audio that Twilio has buffered is cut off, so wait for the last mark before.

        Raises:
            RestError: Twilio refused or did not answer: the call may be up still.
        """
        update = self._client.calls(call_sid).update_async
        try:
            await self._send(lambda: update(status="completed"))
        except RestError as error:
            if error.status != 404 and error.code not in _OVER_ALREADY:
                raise

    async def _send(
        self,
        request: Callable[[], Awaitable[Any]],
        read: Callable[[Any], _Told] = _read,
        *,
        once: bool = False,
    ) -> _Told:
        clock = asyncio.get_running_loop().time
        give_up_at, wait = clock() + self._retry_for, self._backoff
        while True:
            try:
                return read(await request())
            except TwilioException as refusal:
                error = _explain(refusal, once=once)
                cause: BaseException | None = refusal
            except RestError as failure:
                failure.retryable = failure.retryable or not once
                error, cause = failure, failure.__cause__
            if not error.retryable or clock() + wait > give_up_at:
                raise error from cause
            await asyncio.sleep(wait)
            wait *= 2


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: unset if value is None else value for name, value in arguments.items()}


def _explain(refusal: TwilioException, *, once: bool) -> RestError:
    if isinstance(refusal, TwilioRestException):
        reason, status = refusal.msg.partition(": ")[2], int(refusal.status)
        # The SDK puts the HTTP status where a body without a code left none.
        code = None if refusal.code == refusal.status else refusal.code
    elif isinstance(refusal, TwilioServiceException):
        reason, code = refusal.detail or refusal.title, refusal.code
        status = int(refusal.status)
    else:
        reason, code, status = _of_a_list(refusal)
    return RestError(
        without_numbers(reason) or f"Twilio answered HTTP {status} without a reason",
        status=status,
        code=code,
        retryable=status == 429 or (status >= 500 and not once),
    )


def _of_a_list(refusal: TwilioException) -> tuple[str, int | None, int]:
    """Reason, code and status of a refused list, for which the SDK has the bare response.

    Raises:
        TwilioException: It is none of that, but a fault in how the SDK was used.
    """
    response = refusal.args[1] if len(refusal.args) > 1 else None
    if not isinstance(response, Response):
        raise refusal
    try:
        told = json.loads(response.text)
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {}
    code = told.get("code")
    reason = str(told.get("message") or "")
    return reason, code if isinstance(code, int) else None, int(response.status_code)
