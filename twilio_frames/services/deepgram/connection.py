"""A connection to Deepgram that lasts as long as the call, whatever becomes of its sockets."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from deepgram import AsyncDeepgramClient
from loguru import logger
from websockets.exceptions import InvalidStatus, WebSocketException

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, mulaw_silence, pcm_level
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.services.deepgram.socket import DeepgramSocket, Refused, dial
from twilio_frames.services.patience import pause_after
from twilio_frames.services.unacknowledged_audio import UnansweredAudio

__all__ = ["ConnectionOwner", "ConnectionPatience", "Problem", "ReconnectingClient"]

Problem = Refused | str
"""Why there is no connection."""

_WHERE = "a connection to Deepgram"
_PIECE = SAMPLE_RATE // 5
_TICK_SECONDS = 0.25
_KEEP_ALIVE_SECONDS = 4.0
_STABLE_SECONDS = 3.0
_PROBE_SECONDS = 3.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 4.0
_LONGEST_PAUSE_AFTER_GIVING_UP = 10.0
_LOUD = -45.0
_TIMES_WITHOUT_INTERIMS = 3
_SPEECH_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPatience:
    """How long one waits for Deepgram.

    Parameters:
        open_secs: For a stream to be opened.
        hang_secs: For any message after something was said; for the answer to a ping.
        retry_secs: For a connection that works again.
        buffer_secs: How much audio is kept meanwhile.
        catch_up: How many times faster than it came audio is sent that has waited.
    """

    open_secs: float = 4.0
    hang_secs: float = 3.0
    retry_secs: float = 10.0
    buffer_secs: float = 30.0
    catch_up: float = 8.0


class ConnectionOwner(Protocol):
    """Who is told what becomes of a connection."""

    async def take_message(self, message: Any) -> None:
        """Takes a message, as Deepgram's client has read it."""
        ...

    def note_sent(self, mulaw: bytes) -> None:
        """Notes that audio has gone out."""
        ...

    async def note_opened(self) -> None:
        """Notes that there is a connection."""
        ...

    async def note_lost(self, problem: Problem) -> None:
        """Notes that there is none; another is tried for."""
        ...

    async def give_up(self, problem: Problem) -> None:
        """Does without: there will be none, or there was none for too long."""
        ...

    async def recover(self) -> None:
        """Goes on: after all there is one."""
        ...


class ReconnectingClient:
    """Sends audio to Deepgram, again where it was not answered, and makes connections as needed.

    A refusal that lasts ends it. Anything else is tried again, at once and then with growing
    pauses; when that has not helped for ``retry_secs`` the owner is told, and it is tried on. From
    then on each connection is asked about some silence, and counts once Deepgram has answered.

    Args:
        owner: Is told what comes.
        client: Whose address and key are used.
        query: What is asked for, whenever a stream is opened.
        patience: How long to wait for what.
    """

    def __init__(
        self,
        owner: ConnectionOwner,
        client: AsyncDeepgramClient,
        query: Callable[[], Mapping[str, Any]],
        patience: ConnectionPatience,
    ):
        self._owner = owner
        self._client = client
        self._query = query
        self._patience = patience
        self._audio = UnansweredAudio(most_seconds=patience.buffer_secs)
        self._socket: DeepgramSocket | None = None
        self._news = asyncio.Event()
        self._finalize_at = self._finalized = 0
        self._failures = 0
        self._lost_at: float | None = None
        self._has_given_up = False
        self._opened_at = self._sent_at = 0.0
        self._loud = 0
        self._spoken_at: float | None = None
        self._hung_since: float | None = None
        self._silence_limit = patience.hang_secs

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    @property
    def stream_begin(self) -> float:
        """Seconds of audio that had come when the time of the present connection began."""
        return self._audio.stream_begin

    def send(self, mulaw: bytes) -> None:
        """Has audio sent as soon as it can be."""
        had_dropped = self._audio.dropped
        self._audio.add(mulaw)
        if self._audio.dropped and not had_dropped and not self.is_open:
            logger.warning(
                f"no connection to Deepgram for {self._patience.buffer_secs:g} s: what the caller "
                "said before that is dropped from here on"
            )
        self._news.set()

    def finalize(self) -> None:
        """Asks for what is left to be said of the audio so far, once it is sent."""
        self._finalize_at = self._audio.end
        self._news.set()

    def answered(self, seconds: float) -> None:
        """Forgets the audio up to there, by the time of the present connection."""
        self._audio.answered(seconds)

    def prove_alive(self) -> None:
        """A result that is final has come: from here on patience begins anew."""
        self._failures = 0
        self._lost_at = None

    def forget(self) -> None:
        """Forgets the audio that waits."""
        self._audio.clear()
        self._finalize_at = 0

    async def say_goodbye(self) -> None:
        """Tells Deepgram that no more audio comes, if there is a connection."""
        if self._socket is not None:
            with suppress(OSError, WebSocketException):
                await self._socket.say_goodbye()

    async def run(self) -> None:
        """Keeps a connection until it is cancelled, or Deepgram refuses for good."""
        self._has_given_up = False
        self.prove_alive()
        while True:
            problem = await self._connect()
            if isinstance(problem, Refused) and problem.is_lasting:
                await self._give_up(problem)
                return
            await self._wait_out(problem)

    async def _connect(self) -> Problem:
        patience = self._patience
        query = self._query()
        self._hung_since = None
        # Without interim results there is nothing to hear of somebody who speaks on.
        times = 1 if query.get("interim_results") == "true" else _TIMES_WITHOUT_INTERIMS
        self._silence_limit = times * patience.hang_secs
        try:
            async with dial(
                self._client,
                query,
                seconds=patience.open_secs,
                silence=patience.hang_secs,
            ) as socket:
                return await self._serve(socket)
        except InvalidStatus as error:
            return Refused(error)
        except (OSError, WebSocketException) as error:
            return type(error).__name__
        except Exception as error:
            # Whatever it was, the caller is to be heard again.
            return report_unforeseen(error, _WHERE)

    async def _serve(self, socket: DeepgramSocket) -> str:
        if self._has_given_up:
            self._prepare_probe()
        self._audio.begin_stream()
        self._finalized = self._audio.sent
        self._opened_at = self._sent_at = time.monotonic()
        self._note_message()
        self._socket = socket
        sender = asyncio.create_task(self._keep_sending(socket))
        try:
            await self._owner.note_opened()
            async for message in socket.messages():
                self._note_message()
                if self._has_given_up and getattr(message, "type", None) == "Results":
                    await self._recover()
                await self._owner.take_message(message)
            return "Deepgram ended the stream"
        finally:
            self._socket = None
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def _prepare_probe(self) -> None:
        # Nothing of the caller comes while the owner does without.
        self.forget()
        self._audio.add(mulaw_silence(_PROBE_SECONDS))
        self.finalize()

    async def _recover(self) -> None:
        self._has_given_up = False
        self.prove_alive()
        await self._owner.recover()

    async def _wait_out(self, problem: Problem) -> None:
        now = time.monotonic()
        self._failures += 1
        if self._lost_at is None:
            self._lost_at = now if self._hung_since is None else self._hung_since
        await self._owner.note_lost(problem)
        if not self._has_given_up and self._is_too_long(now - self._lost_at):
            await self._give_up(problem)
        await asyncio.sleep(self._pause(problem))

    def _is_too_long(self, seconds: float) -> bool:
        if self._hung_since is not None and self._failures > 1:
            # Should it hang once more, that would be known so much later.
            seconds += self._silence_limit
        return seconds >= self._patience.retry_secs

    def _pause(self, problem: Problem) -> float:
        """The first time there is none; then it doubles, and varies so that calls do not queue."""
        longest = _LONGEST_PAUSE_AFTER_GIVING_UP if self._has_given_up else _LONGEST_PAUSE
        pause = pause_after(self._failures - 1, first=_FIRST_PAUSE, longest=longest)
        asked = problem.retry_after if isinstance(problem, Refused) else 0.0
        return max(pause, min(asked, longest))

    async def _give_up(self, problem: Problem) -> None:
        self._has_given_up = True
        self.forget()
        await self._owner.give_up(problem)

    def _note_message(self) -> None:
        self._loud = 0
        self._spoken_at = None
        age = time.monotonic() - self._opened_at
        if self._socket is not None and age >= _STABLE_SECONDS:
            self.prove_alive()

    async def _keep_sending(self, socket: DeepgramSocket) -> None:
        try:
            while True:
                await self._send_next(socket)
                await self._look_after(socket)
        except (OSError, WebSocketException):
            socket.break_off()
        except Exception as error:
            report_unforeseen(error, _WHERE)
            socket.break_off()

    async def _send_next(self, socket: DeepgramSocket) -> None:
        is_asked = self._finalize_at > self._finalized
        # Were more sent before it, the words would be cut off in the midst of one.
        until = max(self._finalize_at - self._audio.sent, 0) if is_asked else _PIECE
        piece = self._audio.next(min(until, _PIECE))
        if piece:
            await socket.send(piece)
            self._sent_at = time.monotonic()
            self._note_speech(piece)
            self._owner.note_sent(piece)
        if is_asked and self._audio.sent >= self._finalize_at:
            self._finalized = self._finalize_at
            await socket.finalize()
        elif self._audio.unsent:
            await asyncio.sleep(len(piece) / SAMPLE_RATE / self._patience.catch_up)
        else:
            await self._wait_for_news()

    async def _wait_for_news(self) -> None:
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK_SECONDS):
                await self._news.wait()

    def _note_speech(self, piece: bytes) -> None:
        if self._spoken_at is None and pcm_level(decode_mulaw(piece)) >= _LOUD:
            self._loud += len(piece)
            if self._loud >= _SPEECH_SECONDS * SAMPLE_RATE:
                self._spoken_at = time.monotonic()

    async def _look_after(self, socket: DeepgramSocket) -> None:
        now = time.monotonic()
        # Deepgram always has something to say of audio, were it that there were no words; it takes
        # its own silence for a failure too: NET-0000 in
        # https://developers.deepgram.com/docs/stt-troubleshooting-websocket-data-and-net-errors
        asked_at = self._opened_at if self._has_given_up else self._spoken_at
        if asked_at is not None and now - asked_at >= self._silence_limit:
            self._hung_since = asked_at
            limit = self._silence_limit
            logger.warning(f"no answer of Deepgram's for {limit:g} s: its connection is replaced")
            raise TimeoutError
        if now - self._sent_at >= _KEEP_ALIVE_SECONDS:
            self._sent_at = now
            await socket.keep_alive()
