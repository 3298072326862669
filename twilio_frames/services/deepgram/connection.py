"""A call's connection to Deepgram, which lasts whatever becomes of its sockets.

Deepgram's client dials too, but makes a TLS context of its own each time (some 50 ms on the event
loop), hides why it was refused, and notices a dead connection after 40 s. So the connection is made
here, and handed to Deepgram's socket client, which knows the messages.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from deepgram.listen.v1.socket_client import AsyncV1SocketClient
from loguru import logger
from pipecat.services.deepgram.stt import DeepgramSTTService
from websockets.exceptions import InvalidStatus, WebSocketException

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, mulaw_silence, pcm_level
from twilio_frames.pipecat_internals import (
    call_event_handler,
    count_audio,
    deepgram_address,
    deepgram_client,
    deepgram_options,
)
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.services.connection_keeper import ConnectionKeeper, ConnectionOwner, Failure
from twilio_frames.services.outage_announcer import OutageAnnouncer
from twilio_frames.services.retry_policy import RetryPolicy
from twilio_frames.services.unacknowledged_audio import UnansweredAudio
from twilio_frames.services.vendor_socket import VendorSocket, socket_failure

__all__ = ["DeepgramConnection", "DeepgramSocket"]

_NAME = "a connection to Deepgram"
_PIECE = SAMPLE_RATE // 5


@dataclass(frozen=True, slots=True)
class _Care:
    """How a connection is kept, and watched for an answer."""

    tick_secs: float = 0.25
    # Deepgram hangs up on who sends nothing for 10 s.
    keep_alive_secs: float = 4.0
    # Of silence, which a connection is asked about in an outage.
    probe_secs: float = 3.0
    # So many times as fast as it was said, audio is sent that waits.
    catch_up: float = 8.0
    # So much sound, so loud, must have an answer.
    loud: float = -45.0
    speech_secs: float = 0.3
    # Without interim results there is nothing to hear of somebody who speaks on.
    times_without_interims: int = 3


_CARE = _Care()


_ADVICE = {
    401: "set DEEPGRAM_API_KEY to a key of your project",
    402: "add credit to your Deepgram project",
    403: "give the key the right to use this model",
}


class DeepgramSocket(VendorSocket):
    """An open connection, as Deepgram's client uses it."""

    async def messages(self) -> AsyncIterator[Any]:
        """What Deepgram says, as its client reads it, until the connection ends.

        What is no message of Deepgram's is left out or given as it is.

        Raises:
            ConnectionClosedError: If it does not end properly.
        """
        # It is typed for the websockets of old, and needs of it what there still is.
        async for message in AsyncV1SocketClient(websocket=self.connection):
            yield message

    async def finalize(self) -> None:
        """Asks for what is left to be said of the audio that was sent; raises as ``send()``."""
        await self.send('{"type": "Finalize"}')

    async def keep_alive(self) -> None:
        """Keeps the connection open without audio; raises as ``send()``."""
        await self.send('{"type": "KeepAlive"}')

    async def say_goodbye(self) -> None:
        """Tells that no more audio comes; raises as ``send()``."""
        await self.send('{"type": "CloseStream"}')


class DeepgramConnection(OutageAnnouncer, DeepgramSTTService, ConnectionOwner[DeepgramSocket]):
    """Sends audio to Deepgram, again where it was not answered, and makes connections as needed.

    In an outage each connection is asked about some silence, and counts once Deepgram has answered.
    What is made of its messages is left open.

    Args:
        policy: How long to wait for Deepgram, and how often to try again.
        buffer_secs: How much audio is kept meanwhile.
        **kwargs: Passed on.
    """

    def __init__(self, *, policy: RetryPolicy | None, buffer_secs: float, **kwargs: Any):
        super().__init__(**kwargs)
        self._policy = policy or RetryPolicy()
        self.keeper = ConnectionKeeper(self, self._policy, name=_NAME)
        """Opens connections, and knows how they fare."""
        self.unanswered = UnansweredAudio(most_secs=buffer_secs)
        """The audio that Deepgram has not answered yet."""
        self._buffer_secs = buffer_secs
        self._news = asyncio.Event()
        self._finalize_at = self._finalized = 0
        self._sent_at = 0.0
        self._loud = 0
        self._spoken_at: float | None = None
        self._is_hung = self._is_connected = False
        self._silence_limit = self._policy.answer_secs
        self._connecting: asyncio.Task[None] | None = None

    @abstractmethod
    async def take_message(self, message: Any) -> None:
        """Takes a message, as Deepgram's client has read it."""

    def send_audio(self, mulaw: bytes) -> None:
        """Has audio sent as soon as it can be."""
        had_dropped = self.unanswered.dropped
        self.unanswered.add(mulaw)
        if self.unanswered.dropped and not had_dropped and self.keeper.connection is None:
            logger.warning(
                f"no connection to Deepgram for {self._buffer_secs:g} s: what the caller said "
                "before that is dropped from here on"
            )
        self._news.set()

    def finalize(self) -> None:
        """Asks for what is left to be said of the audio so far, once it is sent."""
        self._finalize_at = self.unanswered.end
        self._news.set()

    def _forget_audio(self) -> None:
        self.unanswered.clear()
        self._finalize_at = 0

    # In the place of Pipecat's own, which waits for the connection while the call begins, and sends
    # nothing again.

    async def _connect(self) -> None:
        self._connecting = self.create_task(self.keeper.run(), f"{self}::connection")

    async def _disconnect(self) -> None:
        task, self._connecting = self._connecting, None
        if task is None:
            return
        if self.keeper.connection is not None:
            with suppress(OSError, WebSocketException):
                await self.keeper.connection.say_goodbye()
        await self.cancel_task(task)

    async def _do_reconnect(self) -> None:
        """Opens a stream with the settings there are; nothing that was said is lost."""
        await self._disconnect()
        self.forget_outage()
        await self._connect()

    # What the keeper asks for and tells.

    async def dial(self) -> DeepgramSocket:
        """Opens a stream."""
        query, secs = deepgram_options(self)(), self._policy.answer_secs
        # Without interim results there is nothing to hear of somebody who speaks on.
        times = 1 if query.get("interim_results") == "true" else _CARE.times_without_interims
        self._silence_limit = times * secs
        base, headers = deepgram_address(deepgram_client(self))
        return await DeepgramSocket.open(
            f"{base}/v1/listen?{urlencode(query, doseq=True)}",
            headers,
            open_secs=self._policy.open_secs,
            # Deepgram's client brings its own; websockets 13 would send both.
            user_agent_header=None,
            ping_interval=secs,
            ping_timeout=secs,
        )

    async def carry(self, connection: DeepgramSocket) -> Failure:
        """Sends the audio and hands on what comes."""
        self.unanswered.begin_stream()
        self._finalized = self.unanswered.sent
        self._sent_at = time.monotonic()
        self._is_hung = False
        self._note_message()
        sender = asyncio.create_task(self._keep_sending(connection))
        try:
            async for message in connection.messages():
                self._note_message()
                if self.keeper.is_out and getattr(message, "type", None) == "Results":
                    await self.keeper.prove()
                await self.take_message(message)
            return Failure(text="Deepgram ended the stream")
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def failure_of(self, error: Exception) -> Failure | None:
        """Tells what Deepgram means by it."""
        reason = ""
        if isinstance(error, InvalidStatus):
            reason = error.response.headers.get("dg-error", "no reason given")[:200]
        expected = "expected Deepgram to open a stream"
        failure = socket_failure(error, expected, advice=_ADVICE, reason=reason)
        if failure is not None and self._is_hung:
            self._is_hung = False
            failure = replace(failure, lag_secs=self._silence_limit)
        return failure

    async def on_open(self) -> None:
        """Tells that there is a connection; in an outage, asks about silence."""
        if self.keeper.is_out:
            # Nothing of the caller comes meanwhile.
            self._forget_audio()
            self.unanswered.add(mulaw_silence(_CARE.probe_secs))
            self.finalize()
        self._is_connected = True
        await call_event_handler(self, "on_connected")

    async def on_failure(self, failure: Failure) -> None:
        """Tells that there is none."""
        logger.warning(f"{self}: no connection to Deepgram ({failure}); it is tried again")
        if self._is_connected:
            self._is_connected = False
            await call_event_handler(self, "on_disconnected")
        await call_event_handler(self, "on_connection_error", str(failure))

    async def on_outage(self, failure: Failure) -> None:
        """Reports that the caller cannot be heard, to the pipeline and to the caller."""
        self._forget_audio()
        text = str(failure)
        if not failure.is_final:
            text = (
                f"expected a connection to Deepgram, got none for too long ({failure}): look at "
                "the network and https://status.deepgram.com. It is tried again"
            )
        await self.enter_outage(text, category=failure.category)

    async def on_recovery(self) -> None:
        """Hears again."""
        logger.info(f"{self}: connected to Deepgram again")
        await self.leave_outage()

    def _note_message(self) -> None:
        self._loud = 0
        self._spoken_at = None

    async def _keep_sending(self, socket: DeepgramSocket) -> None:
        try:
            while True:
                await self._send_next(socket)
                await self._look_after(socket)
        except (OSError, WebSocketException):
            self.keeper.break_off()
        except Exception as error:
            report_unforeseen(error, _NAME)
            self.keeper.break_off()

    async def _send_next(self, socket: DeepgramSocket) -> None:
        is_asked = self._finalize_at > self._finalized
        # Were more sent before it, the words would be cut off in the midst of one.
        until = max(self._finalize_at - self.unanswered.sent, 0) if is_asked else _PIECE
        piece = self.unanswered.next(min(until, _PIECE))
        if piece:
            await socket.send(piece)
            self._sent_at = time.monotonic()
            self._note_speech(piece)
            # Pipecat counts bytes, two to a sample.
            count_audio(self, piece + piece)
        if is_asked and self.unanswered.sent >= self._finalize_at:
            self._finalized = self._finalize_at
            await socket.finalize()
        elif self.unanswered.unsent:
            await asyncio.sleep(len(piece) / SAMPLE_RATE / _CARE.catch_up)
        else:
            await self._wait_for_news()

    async def _wait_for_news(self) -> None:
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CARE.tick_secs):
                await self._news.wait()

    def _note_speech(self, piece: bytes) -> None:
        if self._spoken_at is None and pcm_level(decode_mulaw(piece)) >= _CARE.loud:
            self._loud += len(piece)
            if self._loud >= _CARE.speech_secs * SAMPLE_RATE:
                self._spoken_at = time.monotonic()

    async def _look_after(self, socket: DeepgramSocket) -> None:
        now = time.monotonic()
        # Deepgram always has something to say of audio, were it that there were no words; it takes
        # its own silence for a failure too: NET-0000 in
        # https://developers.deepgram.com/docs/stt-troubleshooting-websocket-data-and-net-errors
        asked_at = now - self.keeper.age_secs if self.keeper.is_out else self._spoken_at
        if asked_at is not None and now - asked_at >= self._silence_limit:
            self._is_hung = True
            limit = self._silence_limit
            logger.warning(f"no answer of Deepgram's for {limit:g} s: its connection is replaced")
            raise TimeoutError
        if now - self._sent_at >= _CARE.keep_alive_secs:
            self._sent_at = now
            await socket.keep_alive()
