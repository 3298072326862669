"""``<Connect><Stream>`` carried out: a call is connected to a bot until the stream is over."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twilio_frames.protocol import Start
from twilio_frames.testing.alerts import Alert
from twilio_frames.testing.stream import MediaStream, StreamEnd
from twilio_frames.testing.upgrade import open_websocket, stream_url
from twilio_frames.testing.verbs import MAX_PARAMETER, ConnectStream

if TYPE_CHECKING:
    from twilio_frames.testing.call import SimulatedCall

HANDSHAKE_SECONDS = 10.0
"""How long a bot may take to answer the upgrade. Twilio documents no figure."""

_FIRST_TIMESTAMPS = (99, 171)
"""Milliseconds; what recorded streams begin with."""


class BotConnection:
    """One stream of one call.

    Args:
        call: The call.
        verb: What the TwiML says.
    """

    def __init__(self, call: "SimulatedCall", verb: ConnectStream):
        self._call = call
        self._verb = verb
        self._sid = call.exchange.new_sid("MZ")

    async def run(self) -> StreamEnd | None:
        """Connects until the bot closes or the connection breaks; None if there never was one."""
        opened = await self._open()
        if isinstance(opened, Alert):
            self._call.alert(opened)
            self._tell("stream-error", str(opened))
            self._call.ready.set()
            return None
        self._call.connect(opened)
        opened.begin()
        self._tell("stream-started")
        self._call.ready.set()
        try:
            return await opened.wait_for_end()
        finally:
            # Not even a caller who hangs up keeps the bot from hearing `stop`.
            await asyncio.shield(self._close(opened))

    def parameters(self) -> dict[str, str]:
        """What the webhook behind ``action`` is told about the stream."""
        return {"StreamSid": self._sid, "StreamName": self._verb.name or self._sid}

    async def _open(self) -> MediaStream | Alert:
        url = self._checked_url()
        if isinstance(url, Alert):
            return url
        exchange = self._call.exchange
        websocket = await open_websocket(
            exchange.session, url, auth_token=exchange.auth_token, seconds=HANDSHAKE_SECONDS
        )
        if isinstance(websocket, Alert):
            return websocket
        start = Start(
            stream_sid=self._sid,
            call_sid=self._call.sid,
            account_sid=exchange.account_sid,
            custom_parameters=self._verb.parameters,
        )
        first = exchange.random.randint(*_FIRST_TIMESTAMPS)
        line = self._call.line
        return MediaStream(
            websocket,
            start,
            log=self._call.log,
            first_timestamp=first,
            clock=line.clock,
            conditions=line.conditions,
            seed=self._call.seed,
        )

    def _checked_url(self) -> str | Alert:
        if self._verb.track != "inbound_track":
            return Alert(
                code=31941, text="expected track inbound_track in <Connect>, got another one"
            )
        for name, value in self._verb.parameters.items():
            if len(name) + len(value) >= MAX_PARAMETER:
                return Alert(
                    code=12200,
                    text=f"expected less than {MAX_PARAMETER} characters in a <Parameter>, got "
                    f"{len(name) + len(value)}: keep the rest on your server",
                )
        return stream_url(self._verb.url)

    async def _close(self, stream: MediaStream) -> None:
        end = stream.end
        self._call.disconnect()
        await stream.stop()
        self._call.alerts.extend(stream.alerts)
        if end is StreamEnd.BROKEN:
            lost = Alert(code=31903, text="expected the bot to stay connected, lost the connection")
            self._call.alert(lost)
            self._tell("stream-error", str(lost))
        else:
            self._tell("stream-stopped")
        self._call.log.note(
            "stream_closed",
            end=(end or StreamEnd.STOPPED).value,
            close_code=stream.close_code,
            unplayed_bytes=stream.playback.buffered_bytes,
        )

    def _tell(self, event: str, error: str = "") -> None:
        self._call.log.note(event, stream_sid=self._sid)
        if not self._verb.status_callback:
            return
        parameters = {
            "AccountSid": self._call.exchange.account_sid,
            "CallSid": self._call.sid,
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
        } | self.parameters()
        if error:
            parameters["StreamError"] = error
        self._call.callbacks.post(
            event, self._verb.status_callback, parameters, self._verb.status_callback_method
        )
