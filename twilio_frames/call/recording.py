"""A call recorded by Twilio: begun, paused for what nobody should keep, gone on with, ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.rest import TwilioRest

__all__ = ["TwilioRecording"]


class TwilioRecording:
    """One call's recording at Twilio; see https://www.twilio.com/docs/voice/api/recording.

    What is paused is silence in it, so that its times stay those of the call; and in whatever else
    is kept of the call, a :class:`twilio_frames.transport.CallRecorder` say. Needs credentials.

    Args:
        call_sid: The call.
        rest: The account's REST API; None where there is none.
        keep_out: Has those who listen in here hear silence, for a reason, or hear again.
    """

    def __init__(
        self,
        call_sid: str,
        rest: TwilioRest | None,
        *,
        keep_out: Callable[[bool, str], None] = lambda _, __: None,
    ):
        self._call_sid = call_sid
        self._rest = rest
        self._keep_out = keep_out
        self._pauses = 0
        self._one_at_a_time = asyncio.Lock()
        self.base_url: str | None = None
        """Where Twilio reaches the server, which it tells how the recording goes."""
        self.needs_consent = False
        """Whether the caller has to have agreed before it begins."""
        self.has_consent = False
        """Whether the caller has agreed: yours to say, when they have."""
        self.sid: str | None = None
        """Twilio's name of the recording (``RE...``); None while there is none."""

    async def start(self, *, channels: Literal["dual", "mono"] = "dual") -> str:
        """Begin, and return the recording's sid.

        Args:
            channels: Whether each side has a channel of its own.

        Raises:
            ConfigurationError: Without credentials; where the caller has to agree, and has not; or
                where it is being recorded already.
            RestError: Twilio refused, or did not answer.
        """
        rest = self._require_rest()
        if self.needs_consent and not self.has_consent:
            raise ConfigurationError(
                "expected the caller to have agreed to being recorded, got no consent: set "
                "call.recording.has_consent when they have (ServerSettings.recording_needs_consent)"
            )
        async with self._one_at_a_time:
            if self.sid is not None:
                raise ConfigurationError(
                    "expected a call that is not being recorded, got one that is: stop() it first"
                )
            told = f"{self.base_url}/recording" if self.base_url else None
            self.sid = await self._begin(rest, channels, told)
            if self._pauses:
                await self._update("paused")
            return self.sid

    async def _begin(self, rest: TwilioRest, channels: str, told: str | None) -> str:
        try:
            return await rest.record(self._call_sid, channels=channels, status_callback=told)
        except RestError as error:
            # Its answer alone may be lost: what records has to be known, to be paused.
            found = await rest.live_recordings(self._call_sid) if error.may_be_done else ()
            if not found:
                raise
            return found[0]

    async def stop(self) -> None:
        """End it for good; does nothing where there is none.

        Raises:
            RestError: Twilio refused, or did not answer.
        """
        async with self._one_at_a_time:
            if self.sid is not None:
                await self._update("stopped")
                self.sid = None

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Keep what happens meanwhile out of it: a card number, a password.

        Recorders and listeners of this end hear silence as well, be it that Twilio records nothing.
        May be entered again inside of itself.

        Raises:
            RestError: Twilio refused, or did not answer: what was to be kept out does not begin.
        """
        async with self._one_at_a_time:
            if self._pauses == 0 and self.sid is not None:
                await self._update("paused")
            self._pauses += 1
            self._keep_out(True, "recording")
        try:
            yield
        finally:
            async with self._one_at_a_time:
                self._pauses -= 1
                self._keep_out(self._pauses > 0, "recording")
                if self._pauses == 0 and self.sid is not None:
                    await self._update("in-progress")

    async def _update(self, status: Literal["paused", "in-progress", "stopped"]) -> None:
        assert self.sid is not None  # noqa: S101 - whoever calls this looked
        await self._require_rest().update_recording(self._call_sid, self.sid, status)

    def _require_rest(self) -> TwilioRest:
        if self._rest is None:
            raise ConfigurationError(
                "expected Twilio credentials for a recording of Twilio's, got none: set "
                "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or record here (CallRecorder)"
            )
        return self._rest
