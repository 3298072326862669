"""Twilio's side of one call, without audio: it asks webhooks, follows TwiML, opens streams."""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urldefrag
from xml.etree import ElementTree

import aiohttp

from tests.soak.workers import AUTH_TOKEN, PUBLIC_URL
from twilio_frames.signature import SIGNATURE_HEADER, sign

__all__ = ["Disorder", "Line"]

CONNECT_SECS = 0.365
"""What Twilio takes from TwiML to stream, as measured."""
_WEBHOOK_SECS = 15.0
_RETRIEVAL_FAILED = "11200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disorder:
    """How webhooks and callbacks come.

    Parameters:
        twice: Share of the webhooks that come twice, of which the later answer counts.
        repeated: Share of the callbacks that come again.
        late_secs: How late callbacks come, at most.
    """

    twice: float = 0.0
    repeated: float = 0.0
    late_secs: float = 0.0


class Line:
    """One call.

    Args:
        call_sid: The call.
        session: Leads to the balancer.
        choose: Says what becomes of it.
        disorder: How webhooks come.
        tell: Told of what happens.
    """

    def __init__(
        self,
        call_sid: str,
        session: aiohttp.ClientSession,
        choose: random.Random,
        disorder: Disorder,
        tell: Callable[..., None],
    ):
        self.call_sid = call_sid
        self.outcome = ""
        """How the call ended; empty while it is up."""
        self.status = "ringing"
        self.stream_sid = ""
        """The stream that is open; empty for none."""
        self.streams = 0
        self.has_hung_up = False
        self.last_url = ""
        self.last_parameters: dict[str, str] = {}
        self._session = session
        self._choose = choose
        self._disorder = disorder
        self._tell = tell
        self._websocket: aiohttp.ClientWebSocketResponse | None = None
        self._sequence = 0
        self._recordings = 0
        self._beside: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Rings, and follows what it is told, until the end."""
        self._tell("rings", self.call_sid)
        self._call_status("ringing")
        steps = await self._fetch("/twiml")
        while not self.outcome:
            steps = await self._follow(steps)
        self._tell("ended", self.call_sid, self.outcome)
        self.status = "completed"
        self._call_status("completed")
        while self._beside:
            await asyncio.wait(self._beside)

    async def _follow(self, steps: ElementTree.Element | None) -> ElementTree.Element | None:
        """Does what TwiML says; gives what comes next."""
        if steps is None:
            return self._end("nobody answers")
        self.status = "in-progress"
        for verb in steps:
            match verb.tag:
                case "Connect":
                    return await self._connect(verb)
                case "Pause":
                    await asyncio.sleep(float(verb.attrib["length"]))
                case "Redirect":
                    return await self._fetch((verb.text or "").removeprefix(PUBLIC_URL))
                case "Say":
                    self._tell("is told", self.call_sid, verb.text)
                case _:
                    return self._end(verb.tag)
            if self.has_hung_up:
                return self._end("caller hung up")
        return self._end("TwiML was over")

    def _end(self, why: str) -> None:
        self.outcome = "caller hung up" if self.has_hung_up else why

    def hang_up(self) -> None:
        """The caller hangs up."""
        self.has_hung_up = True
        if self._websocket is not None:
            self._start_beside(self._stop(self._websocket))

    async def _stop(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        stop = {"event": "stop", "sequenceNumber": "2", "streamSid": self.stream_sid}
        stop["stop"] = {"accountSid": "AC1", "callSid": self.call_sid}  # type: ignore[assignment]
        with contextlib.suppress(ConnectionError):
            await websocket.send_str(json.dumps(stop))
        await websocket.close()

    def break_off(self) -> None:
        """The stream breaks, and nobody has meant it to."""
        if self._websocket is not None:
            self._websocket._writer.transport.abort()  # type: ignore[reportPrivateUsage]

    async def _connect(self, verb: ElementTree.Element) -> ElementTree.Element | None:
        noun = verb[0]
        self.last_url = noun.attrib["url"]
        self.last_parameters = {one.attrib["name"]: one.attrib["value"] for one in noun}
        await asyncio.sleep(CONNECT_SECS)
        if not self.has_hung_up:
            self.streams += 1
            stream_sid = f"MZ{self.call_sid}n{self.streams}"
            await self.stream(self.last_url, stream_sid, self.last_parameters)
        action = verb.attrib["action"].removeprefix(PUBLIC_URL)
        if self.has_hung_up:
            self.status = "completed"
            self._start_beside(self._fetch(action))
            return self._end("caller hung up")
        return await self._fetch(action)

    async def stream(self, url: str, stream_sid: str, parameters: dict[str, str]) -> None:
        """Opens a stream, and is there until it is closed."""
        try:
            websocket = await self._session.ws_connect(
                url, headers={SIGNATURE_HEADER: sign(AUTH_TOKEN, url)}, timeout=_CLOSE
            )
        except (aiohttp.ClientError, OSError) as error:
            self._tell("no stream", stream_sid, type(error).__name__)
            return
        is_own = parameters is self.last_parameters
        try:
            if is_own:
                self._websocket, self.stream_sid = websocket, stream_sid
            self._tell("stream", stream_sid)
            with contextlib.suppress(ConnectionError):
                await websocket.send_str(
                    '{"event":"connected","protocol":"Call","version":"1.0.0"}'
                )
                await websocket.send_str(json.dumps(self._start(stream_sid, parameters)))
            async for _ in websocket:
                pass
        finally:
            if is_own:
                self._websocket, self.stream_sid = None, ""
            self._tell("stream ends", stream_sid)

    def _start(self, stream_sid: str, parameters: dict[str, str]) -> dict[str, Any]:
        audio = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        return {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": stream_sid,
            "start": {
                "accountSid": "AC1",
                "streamSid": stream_sid,
                "callSid": self.call_sid,
                "tracks": ["inbound"],
                "mediaFormat": audio,
                "customParameters": parameters,
            },
        }

    def record(self) -> str:
        """Tells how a recording stands: it has begun, and later is done."""
        self._recordings += 1
        sid = f"RE{self.call_sid}n{self._recordings}"
        self._start_beside(self._tell_of_recording(sid))
        return sid

    async def _tell_of_recording(self, sid: str) -> None:
        for status in ("in-progress", "completed"):
            form = {"CallSid": self.call_sid, "RecordingSid": sid, "RecordingStatus": status}
            token = f"{sid}{status}"
            if await self._post("/recording", form, token) is not None:
                self._tell("callback taken", self.call_sid, sid, status)
            if self._choose.random() < self._disorder.repeated:
                await asyncio.sleep(self._choose.uniform(0.0, 3.0))
                await self._post("/recording", form, token)
            await asyncio.sleep(self._choose.uniform(0.1, 4.0))

    def _call_status(self, status: str) -> None:
        self._sequence += 1
        form = {**self._form(), "CallStatus": status, "SequenceNumber": str(self._sequence)}
        for again in range(1 + (self._choose.random() < self._disorder.repeated)):
            late = self._choose.uniform(0.0, (1 + again) * self._disorder.late_secs)
            self._start_beside(self._later(late, self._post("/status", form, status)))

    async def _later(self, secs: float, work: Awaitable[Any]) -> None:
        await asyncio.sleep(secs)
        await work

    def _start_beside(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def _form(self) -> dict[str, str]:
        return {
            "CallSid": self.call_sid,
            "AccountSid": "AC1",
            "From": "+14155550101",
            "To": "+14155550100",
            "Direction": "inbound",
            "CallStatus": self.status,
        }

    async def _fetch(self, path: str) -> ElementTree.Element | None:
        """Asks a webhook what to do, and the fallback where that fails."""
        path, how = urldefrag(path)
        # How often it is asked again, the fragment says; as Twilio does, for what is no answer.
        tries = 1 + int(dict(parse_qsl(how)).get("rc", "0"))
        if self._choose.random() < self._disorder.twice:
            # Its answer was lost on the way.
            self._start_beside(self._post(path, self._form()))
            await asyncio.sleep(self._choose.uniform(0.0, 1.0))
        text = None
        while text is None and tries:
            text, tries = await self._post(path, self._form()), tries - 1
        if text is None:
            self._tell("asks the fallback", self.call_sid, path.partition("?")[0])
            text = await self._post("/fallback", {**self._form(), "ErrorCode": _RETRIEVAL_FAILED})
        return ElementTree.fromstring(text) if text else None

    async def _post(self, path: str, form: dict[str, str], token: str = "") -> str | None:
        """What a webhook answers; None if it does not, or says that it cannot."""
        url = PUBLIC_URL + path
        headers = {SIGNATURE_HEADER: sign(AUTH_TOKEN, url, form)}
        if token:
            headers["I-Twilio-Idempotency-Token"] = f"{self.call_sid}{token}"
        try:
            async with (
                asyncio.timeout(_WEBHOOK_SECS),
                self._session.post(url, data=form, headers=headers) as answer,
            ):
                text = await answer.text()
                return text if answer.status < 400 else None
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


_CLOSE = aiohttp.ClientWSTimeout(ws_close=2.0)  # type: ignore[reportCallIssue]
