"""A stream carried out: a call is connected to a server until one side ends it."""

import asyncio
import time
from datetime import UTC, datetime

from twilio_frames.protocol import INBOUND, OUTBOUND, Start
from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.stream import MediaStream, StreamEnd
from twilio_frames.testing.streams.broken_socket import over
from twilio_frames.testing.streams.upgrade import open_websocket, stream_url
from twilio_frames.testing.verbs import ConnectStream, StartStream
from twilio_frames.twiml import PARAMETER_LIMIT

HANDSHAKE_SECS = 10.0
"""How long a bot may take to answer the upgrade. Twilio documents no figure."""

MAX_FORKED_TRACKS = 4
"""Tracks that one-way streams of a call may carry together."""

TRACKS = {
    "inbound_track": (INBOUND,),
    "outbound_track": (OUTBOUND,),
    "both_tracks": (INBOUND, OUTBOUND),
}

_FIRST_TIMESTAMPS = (99, 171)
"""Milliseconds; what recorded streams begin with."""


class StreamConnection:
    """One stream of one call, both ways or one.

    Args:
        call: The call.
        verb: What the TwiML says.
    """

    def __init__(self, call: SimulatedCall, verb: ConnectStream | StartStream):
        self._call = call
        self._verb = verb
        self._opened: MediaStream | None = None
        self.sid = call.exchange.new_sid("MZ")

    @property
    def name(self) -> str:
        """The stream's name, which is its sid where it was given none."""
        return self._verb.name or self.sid

    @property
    def tracks(self) -> tuple[str, ...]:
        """Which of the call's tracks it carries."""
        return TRACKS.get(self._verb.track, (INBOUND,))

    async def run(self) -> StreamEnd | None:
        """Connects until the bot closes or the connection breaks; None if there never was one."""
        await asyncio.sleep(self._call.exchange.delays.connect)
        opened = await self._open()
        if isinstance(opened, Alert):
            self._call.alert(opened)
            self._tell("stream-error", str(opened))
            return None
        self._opened = opened
        self._call.connect(opened, is_fork=self._is_fork)
        opened.begin()
        self._tell("stream-started")
        if not self._is_fork:
            self._call.ready.set()
        try:
            return await opened.wait_for_end()
        finally:
            # Not even a caller who hangs up keeps the bot from hearing `stop`.
            await asyncio.shield(self._close(opened))

    def parameters(self) -> dict[str, str]:
        """What the webhook behind ``action`` is told about the stream."""
        return {"StreamSid": self.sid, "StreamName": self.name}

    @property
    def _is_fork(self) -> bool:
        return isinstance(self._verb, StartStream)

    async def _open(self) -> MediaStream | Alert:
        url = self._checked_url()
        if isinstance(url, Alert):
            return url
        exchange = self._call.exchange
        websocket = await open_websocket(
            exchange.session, url, signing=exchange.signing, seconds=HANDSHAKE_SECS
        )
        if isinstance(websocket, Alert):
            return websocket
        start = Start(
            stream_sid=self.sid,
            call_sid=self._call.sid,
            account_sid=exchange.account_sid,
            tracks=self.tracks,
            custom_parameters=self._verb.parameters,
        )
        line = self._call.line
        return MediaStream(
            over(websocket, line.conditions, line.clock),
            start,
            log=self._call.log,
            first_timestamp=exchange.random.randint(*_FIRST_TIMESTAMPS),
            first_media=exchange.delays.first_media,
            is_one_way=self._is_fork,
            clock=line.clock,
            conditions=line.conditions,
            seed=self._call.seed,
        )

    def _checked_url(self) -> str | Alert:
        track = self._verb.track
        if track not in TRACKS or not (self._is_fork or track == "inbound_track"):
            return Alert(
                code=31941,
                text="expected track inbound_track in <Connect> (outbound_track and both_tracks in "
                "<Start> only), got another one",
            )
        for name, value in self._verb.parameters.items():
            if len(name) + len(value) >= PARAMETER_LIMIT:
                return Alert(
                    code=12200,
                    text=f"expected less than {PARAMETER_LIMIT} characters in a <Parameter>, got "
                    f"{len(name) + len(value)}: keep the rest on your server",
                )
        return stream_url(self._verb.url)

    async def _close(self, stream: MediaStream) -> None:
        end = stream.end
        # It is heard until it leaves the line, which is late where this process is.
        self._call.disconnect(stream)
        ended_at = time.time()
        await stream.stop()
        for alert in stream.alerts:
            self._call.alert(alert)
        if end is StreamEnd.BROKEN:
            lost = Alert(code=31903, text="expected the bot to stay connected, lost the connection")
            self._call.alert(lost)
            self._tell("stream-error", str(lost), at=ended_at)
        else:
            if end is StreamEnd.CLOSED_BY_BOT:
                self._call.alert_account(_closed_by_bot())
            self._tell("stream-stopped", at=ended_at)
        self._call.log.note(
            "stream_closed",
            end=(end or StreamEnd.STOPPED).value,
            close_code=stream.close_code,
            unplayed_bytes=stream.playback.buffered_bytes,
        )

    def _tell(self, event: str, error: str = "", *, at: float | None = None) -> None:
        self._call.log.note(event, stream_sid=self.sid)
        if not self._verb.status_callback:
            return
        now = datetime.fromtimestamp(time.time() if at is None else at, UTC)
        parameters = {
            "AccountSid": self._call.exchange.account_sid,
            "CallSid": self._call.sid,
            "StreamEvent": event,
            "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
        } | self.parameters()
        if error:
            parameters["StreamError"] = error
        self._call.callbacks.post(
            event, self._verb.status_callback, parameters, self._verb.status_callback_method
        )


def _closed_by_bot() -> Alert:
    """Twilio lists this error also where a bot ends its two-way stream as it is meant to."""
    return Alert(code=31921, text="expected the server to keep the WebSocket open, it closed it")
