"""A connection to Deepgram that lasts as long as the call, whatever becomes of its sockets."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from deepgram import AsyncDeepgramClient
from loguru import logger
from websockets.exceptions import WebSocketException

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, mulaw_silence, pcm_level
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.services.connection_keeper import ConnectionKeeper, ConnectionOwner, Failure
from twilio_frames.services.deepgram.socket import DeepgramSocket, dial, failure_of
from twilio_frames.services.retry_policy import RetryPolicy
from twilio_frames.services.unacknowledged_audio import UnansweredAudio

__all__ = ["DeepgramConnection", "DeepgramListener"]

_NAME = "a connection to Deepgram"
_PIECE = SAMPLE_RATE // 5
_TICK_SECONDS = 0.25
_KEEP_ALIVE_SECONDS = 4.0
_PROBE_SECONDS = 3.0
_CATCH_UP = 8.0
_LOUD = -45.0
_TIMES_WITHOUT_INTERIMS = 3
_SPEECH_SECONDS = 0.3


class DeepgramListener(Protocol):
    """Who is told what becomes of a connection."""

    async def take_message(self, message: Any) -> None:
        """Takes a message, as Deepgram's client has read it."""
        ...

    def note_sent(self, mulaw: bytes) -> None:
        """Notes that audio has gone out."""
        ...

    async def on_open(self) -> None:
        """There is a connection."""
        ...

    async def on_failure(self, failure: Failure) -> None:
        """There is none; another is tried for."""
        ...

    async def on_outage(self, failure: Failure) -> None:
        """There will be none, or there was none for too long."""
        ...

    async def on_recovery(self) -> None:
        """After all there is one."""
        ...


class DeepgramConnection(ConnectionOwner[DeepgramSocket]):
    """Sends audio to Deepgram, again where it was not answered, and makes connections as needed.

    In an outage each connection is asked about some silence, and counts once Deepgram has answered.

    Args:
        listener: Is told what comes.
        client: Whose address and key are used.
        query: What is asked for, whenever a stream is opened.
        policy: How long to wait for Deepgram, and how often to try again.
        buffer_secs: How much audio is kept meanwhile.
    """

    def __init__(
        self,
        listener: DeepgramListener,
        client: AsyncDeepgramClient,
        query: Callable[[], Mapping[str, Any]],
        policy: RetryPolicy,
        *,
        buffer_secs: float,
    ):
        self._listener = listener
        self._client = client
        self._query = query
        self._policy = policy
        self._buffer_secs = buffer_secs
        self._keeper = ConnectionKeeper(self, policy, name=_NAME)
        self._audio = UnansweredAudio(most_seconds=buffer_secs)
        self._news = asyncio.Event()
        self._finalize_at = self._finalized = 0
        self._sent_at = 0.0
        self._loud = 0
        self._spoken_at: float | None = None
        self._is_hung = False
        self._silence_limit = policy.answer_secs

    @property
    def stream_begin(self) -> float:
        """Seconds of audio that had come when the time of the present connection began."""
        return self._audio.stream_begin

    def send(self, mulaw: bytes) -> None:
        """Has audio sent as soon as it can be."""
        had_dropped = self._audio.dropped
        self._audio.add(mulaw)
        if self._audio.dropped and not had_dropped and self._keeper.connection is None:
            logger.warning(
                f"no connection to Deepgram for {self._buffer_secs:g} s: what the caller said "
                "before that is dropped from here on"
            )
        self._news.set()

    def finalize(self) -> None:
        """Asks for what is left to be said of the audio so far, once it is sent."""
        self._finalize_at = self._audio.end
        self._news.set()

    def answered(self, seconds: float) -> None:
        """Forgets the audio up to there, by the time of the present connection."""
        self._audio.answered(seconds)

    async def prove(self) -> None:
        """A result that is final has come: what went wrong before does not count any more."""
        await self._keeper.prove()

    def forget(self) -> None:
        """Forgets the audio that waits."""
        self._audio.clear()
        self._finalize_at = 0

    async def say_goodbye(self) -> None:
        """Tells Deepgram that no more audio comes, if there is a connection."""
        if self._keeper.connection is not None:
            with suppress(OSError, WebSocketException):
                await self._keeper.connection.say_goodbye()

    async def run(self) -> None:
        """Keeps a connection until it is cancelled, or Deepgram refuses for good."""
        await self._keeper.run()

    async def dial(self) -> DeepgramSocket:
        """Opens a stream."""
        query, secs = self._query(), self._policy.answer_secs
        # Without interim results there is nothing to hear of somebody who speaks on.
        times = 1 if query.get("interim_results") == "true" else _TIMES_WITHOUT_INTERIMS
        self._silence_limit = times * secs
        return await dial(self._client, query, open_secs=self._policy.open_secs, answer_secs=secs)

    async def carry(self, connection: DeepgramSocket) -> Failure:
        """Sends the audio and hands on what comes."""
        self._audio.begin_stream()
        self._finalized = self._audio.sent
        self._sent_at = time.monotonic()
        self._is_hung = False
        self._note_message()
        sender = asyncio.create_task(self._keep_sending(connection))
        try:
            async for message in connection.messages():
                self._note_message()
                if self._keeper.is_out and getattr(message, "type", None) == "Results":
                    await self._keeper.prove()
                await self._listener.take_message(message)
            return Failure(text="Deepgram ended the stream")
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def failure_of(self, error: Exception) -> Failure | None:
        """Tells what Deepgram means by it."""
        failure = failure_of(error)
        if failure is not None and self._is_hung:
            self._is_hung = False
            failure = replace(failure, lag_secs=self._silence_limit)
        return failure

    async def on_open(self) -> None:
        """Asks about silence in an outage: nothing of the caller comes meanwhile."""
        if self._keeper.is_out:
            self.forget()
            self._audio.add(mulaw_silence(_PROBE_SECONDS))
            self.finalize()
        await self._listener.on_open()

    async def on_failure(self, failure: Failure) -> None:
        """Tells that there is no connection."""
        await self._listener.on_failure(failure)

    async def on_outage(self, failure: Failure) -> None:
        """Tells that there will be none, or was none for too long."""
        self.forget()
        await self._listener.on_outage(failure)

    async def on_recovery(self) -> None:
        """Tells that after all there is one."""
        await self._listener.on_recovery()

    def _note_message(self) -> None:
        self._loud = 0
        self._spoken_at = None

    async def _keep_sending(self, socket: DeepgramSocket) -> None:
        try:
            while True:
                await self._send_next(socket)
                await self._look_after(socket)
        except (OSError, WebSocketException):
            self._keeper.break_off()
        except Exception as error:
            report_unforeseen(error, _NAME)
            self._keeper.break_off()

    async def _send_next(self, socket: DeepgramSocket) -> None:
        is_asked = self._finalize_at > self._finalized
        # Were more sent before it, the words would be cut off in the midst of one.
        until = max(self._finalize_at - self._audio.sent, 0) if is_asked else _PIECE
        piece = self._audio.next(min(until, _PIECE))
        if piece:
            await socket.send(piece)
            self._sent_at = time.monotonic()
            self._note_speech(piece)
            self._listener.note_sent(piece)
        if is_asked and self._audio.sent >= self._finalize_at:
            self._finalized = self._finalize_at
            await socket.finalize()
        elif self._audio.unsent:
            await asyncio.sleep(len(piece) / SAMPLE_RATE / _CATCH_UP)
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
        asked_at = now - self._keeper.age_secs if self._keeper.is_out else self._spoken_at
        if asked_at is not None and now - asked_at >= self._silence_limit:
            self._is_hung = True
            limit = self._silence_limit
            logger.warning(f"no answer of Deepgram's for {limit:g} s: its connection is replaced")
            raise TimeoutError
        if now - self._sent_at >= _KEEP_ALIVE_SECONDS:
            self._sent_at = now
            await socket.keep_alive()
