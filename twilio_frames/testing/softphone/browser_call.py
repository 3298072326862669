"""One call of somebody who speaks in a browser: a WebSocket here, a simulated call's line there.

What goes over the WebSocket
----------------------------
Both ways, binary messages are mu-law, 8000 bytes a second: what the microphone hears, and every
20 ms what the caller's ear does. Text messages are JSON. The browser sends ``{"do": "press",
"digit": "5"}`` and ``{"do": "hang_up"}``; what it is told has an ``event``:

============  =================================================================================
``ringing``   the bot's webhook is being asked
``answered``  the line is open: ``call_sid``
``log``       a line of the call's log, see ``docs/call-log.md``; its ``t`` is from the answer on
``announced`` Twilio itself reads ``text`` to the caller, from ``at`` on
``answer``    the bot's answer is heard: ``at``, and ``seconds`` since the caller's last word
``ended``     ``why``, ``seconds``, and ``alerts`` as Twilio's Debugger would show them
``failed``    no call came about: ``why``
``report``    the call's report can be had: ``address``
============  =================================================================================
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import ClientError, WSMsgType, web

from twilio_frames.errors import CallFailedError
from twilio_frames.report.answers import AnswerTimes
from twilio_frames.report.lines import LIVE_KINDS, Kind, Line
from twilio_frames.testing.callers.caller import Caller
from twilio_frames.testing.callers.hearing import Announcement
from twilio_frames.testing.callers.tones import KEYS
from twilio_frames.testing.calls.facts import StatusCallback
from twilio_frames.testing.calls.ringing import CallerOptions
from twilio_frames.testing.simulated_twilio import SimulatedTwilio
from twilio_frames.testing.softphone.microphone import MicrophoneVoice

LONGEST_MESSAGE = 4096
"""Bytes; a frame has 160, and half a second of them is more than the line would take."""

_MOST_UNSENT = 500
"""Messages for a browser that does not read, some ten seconds; later ones are lost."""
_SEND_SECS = 5.0
_MOST_KEYS = 32


class CallWatch:
    """Passes a call's log on to whoever looks at the call, once they do."""

    def __init__(self) -> None:
        self.opened_at: float | None = None
        """The log's zero, by ``time.monotonic()``."""
        self.written = asyncio.Event()
        """Set when log and recording are whole."""
        self._early: deque[Line] = deque(maxlen=_MOST_UNSENT)
        self._follow: Callable[[Line], object] = self._early.append

    def note(self, line: Line) -> None:
        """Takes a line."""
        self._follow(line)

    def follow(self, follow: Callable[[Line], object]) -> None:
        """Passes the lines on, those first that have come."""
        self._follow = follow
        while self._early:
            follow(self._early.popleft())


class BrowserCall:
    """One call.

    Args:
        websocket: The browser's, open.
        twilio: Carries the call.
        url: Where the bot's server is, without a slash at the end.
        watch: Gives the watch of a call by its sid.
        report: Gives where the report of a call by its sid will be, when it is whole.
        seconds: How long the call may last at most.
    """

    def __init__(
        self,
        websocket: web.WebSocketResponse,
        twilio: SimulatedTwilio,
        url: str,
        *,
        watch: Callable[[str], CallWatch],
        report: Callable[[str], Awaitable[str | None]],
        seconds: float,
    ):
        self._websocket = websocket
        self._twilio = twilio
        self._url = url
        self._watch = watch
        self._report = report
        self._seconds = seconds
        self._voice = MicrophoneVoice()
        self._caller: Caller | None = None
        self._watched: CallWatch | None = None
        self._answers = AnswerTimes()
        self._spells = self._announced = 0
        self._unsent: asyncio.Queue[bytes | dict[str, Any] | None] = asyncio.Queue(_MOST_UNSENT)
        self._keys: asyncio.Queue[str] = asyncio.Queue(_MOST_KEYS)

    async def run(self) -> None:
        """Carries the call until it is over, or the browser has gone."""
        carrying, taking, telling = tasks = [
            asyncio.create_task(doing) for doing in (self._carry(), self._take(), self._tell())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if carrying.done():
                self._put(None)
                await asyncio.wait({telling}, timeout=_SEND_SECS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in (carrying, taking, telling):
            if not task.cancelled():
                task.result()

    async def _carry(self) -> None:
        self._put({"event": "ringing"})
        options = CallerOptions(microphone=self._voice, taps=(self,), seconds=self._seconds)
        told = StatusCallback(
            url=f"{self._url}/status", events=("ringing", "answered", "completed")
        )
        try:
            async with self._twilio.call(
                f"{self._url}/twiml", status_callback=told, options=options
            ) as caller:
                self._answered(caller)
                caller_keys = asyncio.create_task(self._press_keys(caller))
                try:
                    await caller.wait_for_end(seconds=self._seconds + _SEND_SECS)
                finally:
                    caller_keys.cancel()
        except CallFailedError as error:
            self._put({"event": "failed", "why": str(error)})
            return
        self._put({
            "event": "ended",
            "why": caller.end.value if caller.end else "",
            "seconds": round(caller.now, 1),
            "alerts": [str(alert) for alert in caller.alerts],
        })  # fmt: skip
        address = await self._report(caller.call_sid)
        if address is not None:
            self._put({"event": "report", "address": address})

    def _answered(self, caller: Caller) -> None:
        self._caller = caller
        self._put({"event": "answered", "call_sid": caller.call_sid})
        self._watched = self._watch(caller.call_sid)
        self._watched.follow(self._note)

    def _note(self, line: Line) -> None:
        """Passes a line of the log on, its time by the line's clock."""
        if self._caller is None or self._watched is None or line["kind"] not in LIVE_KINDS:
            return
        if line["kind"] == Kind.INTERRUPTED and not self._caller.is_connected:
            # A pipeline interrupts itself as its call ends; nobody else did.
            return
        later = (self._watched.opened_at or 0.0) - self._caller.answered_at
        told = line | {"t": round(line["t"] + later, 3)}
        self._answers.note(told)
        self._put({"event": "log", "line": told})

    def write(self, caller: bytes, bot: bytes) -> None:
        """Hears both sides, each 20 ms; the simulated line calls it."""
        self._put(bot)
        if self._caller is None:
            return
        self._tell_announcements(self._caller.announcements)
        if len(self._caller.bot_spells) > self._spells:
            self._spells = len(self._caller.bot_spells)
            self._tell_answer(self._caller.bot_spells[-1].began_at)

    def _tell_announcements(self, announcements: Sequence[Announcement]) -> None:
        for said in announcements[self._announced :]:
            self._put({"event": "announced", "at": round(said.began_at, 3), "text": said.text})
        self._announced = len(announcements)

    def _tell_answer(self, at: float) -> None:
        if (seconds := self._answers.heard(at)) is not None:
            told = {"event": "answer", "at": round(at, 3), "seconds": round(seconds, 3)}
            self._put(told)

    def _put(self, told: bytes | dict[str, Any] | None) -> None:
        # A browser that does not read loses what comes then; the call goes on.
        with suppress(asyncio.QueueFull):
            self._unsent.put_nowait(told)

    async def _tell(self) -> None:
        """Sends what waits; ends when the call has, or the browser takes nothing any more."""
        with suppress(ConnectionError, ClientError, TimeoutError):
            while (told := await self._unsent.get()) is not None:
                async with asyncio.timeout(_SEND_SECS):
                    if isinstance(told, bytes):
                        await self._websocket.send_bytes(told)
                    else:
                        await self._websocket.send_str(json.dumps(told))
        with suppress(ConnectionError, ClientError):
            await self._websocket.close()

    async def _take(self) -> None:
        """Takes what comes, until the browser has gone, or hangs up before anybody answered."""
        async for message in self._websocket:
            if message.type is WSMsgType.BINARY:
                self._voice.hear(message.data)
            elif message.type is WSMsgType.TEXT and not await self._obey(message.data):
                return

    async def _obey(self, text: str) -> bool:
        """Does what is asked; False if that is to end a call that is none yet."""
        try:
            order = json.loads(text)
        except (ValueError, RecursionError):
            return True
        match order:
            case {"do": "hang_up"}:
                if self._caller is None:
                    return False
                await self._caller.hang_up()
            case {"do": "press", "digit": str(digit)} if len(digit) == 1 and digit in KEYS:
                with suppress(asyncio.QueueFull):
                    self._keys.put_nowait(digit)
            case _:
                pass
        return True

    async def _press_keys(self, caller: Caller) -> None:
        # A key that is pressed as the call ends is pressed in vain.
        with suppress(CallFailedError):
            while caller.is_connected:
                await caller.press(await self._keys.get())
