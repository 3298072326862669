"""Cartesia on the phone line: mu-law from its voice to the caller's ear, through its bad days."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

from loguru import logger
from pipecat.frames.frames import Frame
from pipecat.utils.errors import ErrorCategory, classify_http_status_code
from pipecat.utils.tracing.service_decorators import traced_tts

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.pipecat_internals import (
    call_event_handler,
    cartesia_request,
    gives_words_with_spaces,
    plain_words,
    streams_tokens,
)
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.services.cartesia.connection import CartesiaConnection
from twilio_frames.services.cartesia.events import (
    AskDone,
    Audio,
    Event,
    Refused,
    TextDone,
    Words,
    read_event,
)
from twilio_frames.services.cartesia.speech import CartesiaSpeech, TimedWord
from twilio_frames.services.retry_policy import RetryPolicy

__all__ = [
    "PhoneCartesiaTTSService",
]

_TICK_SECS = 0.1
_TELL_SECS = 1.0
_KEY_STATUSES = (401, 402, 403)
_SILENT_ASKS = 2


class PhoneCartesiaTTSService(CartesiaConnection):
    """Cartesia's voice for a phone call. Stands where Pipecat's ``CartesiaTTSService`` stands.

    Audio comes as mu-law and goes to the caller bit for bit, as
    :class:`twilio_frames.frames.MulawOutputFrame`; other outputs take its PCM. The call has one
    connection, opened while the pipeline is set up and replaced before Cartesia's idle time-out.
    A connection that breaks or falls silent is opened again, and what was not said of the
    utterances is asked for again, from the first word that was not said wholly. What is never said
    does not enter the memory.

    A key that is not taken makes the service unusable at once, trouble beyond the policy until a
    connection comes about again: see Pipecat's ``is_usable`` and ``ServiceSwitcher``. The event
    ``on_left_out`` (service, text) tells what of an utterance is never said, for another voice.

    Args:
        api_key: Cartesia's.
        policy: How long to wait for Cartesia, and how often to ask again.
        **kwargs: Passed to Pipecat's service: ``settings`` with the voice, ``url`` …; and
            ``apology_audio``, mu-law that is played when something cannot be said, once for each
            turn of the caller's.

    Raises:
        ConfigurationError: If another encoding or sample rate is asked for.
    """

    def __init__(
        self,
        *,
        api_key: str,
        policy: RetryPolicy | None = None,
        **kwargs: Any,
    ):
        super().__init__(api_key=api_key, policy=policy, **kwargs)
        self.unread_messages = 0
        """How many messages of Cartesia's could not be made sense of, and were skipped."""
        self._speeches: dict[str, CartesiaSpeech] = {}
        self._asks: dict[str, CartesiaSpeech] = {}
        self._numbers = count(1)
        self._handing = asyncio.Lock()
        self._busy = asyncio.Event()

    # The connection

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to say."""
        return not self._speeches

    async def _ask_for_the_rest(self) -> None:
        for speech in tuple(self._speeches.values()):
            await self._ask(speech)

    async def _lose_all(self) -> None:
        self._asks.clear()
        for speech in tuple(self._speeches.values()):
            await self._lose(speech)
            await self._note_progress(speech)

    async def _give_up(self, message: str, category: ErrorCategory) -> None:
        await call_event_handler(self, "on_connection_error", message)
        # Whoever takes over goes on where this voice was.
        await self.all_handed_on()
        await self.push_error(message, category=category, force_treat_as_permanent=True)
        for context_id in tuple(self._speeches):
            await self._break_off(context_id)

    # What is to be said

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Asks for a text; Pipecat calls it. The audio comes by another way.

        Args:
            text: What to say.
            context_id: The audio context it belongs to.

        Yields:
            Nothing of use.
        """
        if self.is_ending(context_id):
            return
        await self.be_connected()
        speech = self._speeches.get(context_id)
        if speech is None:
            is_spaced = not (streams_tokens(self) or gives_words_with_spaces(self))
            speech = CartesiaSpeech(context_id, lead_secs=0.5, is_spaced=is_spaced)
            self._speeches[context_id] = speech
        speech.say(text)
        await self.start_tts_usage_metrics(text)
        await self._ask(speech)
        self._busy.set()
        yield None

    async def flush_audio(self, context_id: str | None = None) -> None:
        """Notes that an utterance's text is complete; Pipecat calls it."""
        context_id = context_id or self.get_active_audio_context_id()
        speech = self._speeches.get(context_id or "")
        if speech is not None:
            speech.is_complete = True
            await self._ask(speech)
            await self._hand_on(speech)
        elif context_id and not self.is_ending(context_id):
            await self._break_off(context_id)

    async def _ask(self, speech: CartesiaSpeech) -> None:
        """Sends what is to be sent of an utterance, if there is a connection."""
        if self.keeper.connection is None:
            return
        text = speech.take_unsent(time.monotonic(), f"{speech.context_id}-{next(self._numbers)}")
        if text is None or speech.ask_id is None:
            return
        self._asks[speech.ask_id] = speech
        # Settings may have changed meanwhile; within a context Cartesia has them stay as they are.
        speech.request = speech.request or json.loads(cartesia_request(self))
        message = {
            **speech.request,
            "transcript": text,
            "continue": not speech.is_complete,
            "context_id": speech.ask_id,
        }
        await self.send(json.dumps(message))

    # What is said

    async def on_message(self, message: str | bytes) -> None:
        """Takes what Cartesia sends; what makes no sense is skipped and counted."""
        try:
            event = read_event(message)
        except ValueError as error:
            self.unread_messages += 1
            if self.unread_messages == 1:
                logger.warning(f"{self}: skipped a message: {error}")
            return
        speech = self._asks.get(event.ask_id or "")
        if isinstance(event, Refused):
            await self._take_refusal(event, speech)
        elif speech is not None and isinstance(event, AskDone) and _is_short(speech):
            await self._take_silence(event, speech)
        elif speech is not None:
            self._take(event, speech)
            await self._hand_on(speech)

    def _take(self, event: Event, speech: CartesiaSpeech) -> None:
        now = time.monotonic()
        match event:
            case Audio():
                speech.take_audio(event.mulaw, now)
            case Words():
                speech.take_words(self._plain(event), now)
            case TextDone():
                speech.text_done(now)
            case AskDone():
                speech.ask_done()
                self._asks.pop(event.ask_id or "", None)
            case _:
                pass

    def _plain(self, event: Words) -> list[tuple[str, float, float]]:
        """The words without the markup in them, and without those that are no more than markup."""
        return [
            (plain, begin, end)
            for word, begin, end in event.words
            for plain in plain_words(self, word, begin)
        ]

    async def _hand_on(self, speech: CartesiaSpeech) -> None:
        """Hands on what is due of an utterance, and ends it when all of it has been."""
        async with self._handing:
            if self._speeches.get(speech.context_id) is not speech:
                return
            for item in speech.due(time.monotonic()):
                if isinstance(item, TimedWord):
                    await self._hand_on_word(item, speech.context_id)
                else:
                    frame = MulawOutputFrame.of(item, context_id=speech.context_id)
                    await self.append_to_audio_context(speech.context_id, frame)
            await self._note_progress(speech)
            if speech.is_said:
                self._forget(speech.context_id)
                await self.end_context(speech.context_id)

    async def _note_progress(self, speech: CartesiaSpeech) -> None:
        # Not by audio alone: it may be the beginning of the same word again and again.
        if speech.has_got_on:
            speech.has_got_on = False
            await self.keeper.prove()
            self.speaks_again()

    async def _hand_on_word(self, word: TimedWord, context_id: str) -> None:
        own_spaces = gives_words_with_spaces(self)
        await self.add_word_timestamps(
            [(word.text, word.begin / SAMPLE_RATE)],
            context_id,
            includes_inter_frame_spaces=True if own_spaces else None,
        )

    def _forget(self, context_id: str) -> CartesiaSpeech | None:
        speech = self._speeches.pop(context_id, None)
        if speech is not None and speech.ask_id is not None:
            self._asks.pop(speech.ask_id, None)
        return speech

    # What cannot be said

    async def _tend(self) -> None:
        """Watches over what is being said: audio that is due, text that waits, silence."""
        told_waiting_at = 0.0
        while True:
            if self.is_idle:
                self._busy.clear()
            await self._busy.wait()
            await asyncio.sleep(_TICK_SECS)
            now = time.monotonic()
            is_telling = now - told_waiting_at >= _TELL_SECS
            told_waiting_at = now if is_telling else told_waiting_at
            try:
                for speech in tuple(self._speeches.values()):
                    await self._look_after(speech, now, is_telling=is_telling)
            except Exception as error:
                # Whatever it was, the bot is not to fall silent: what is left is asked for again.
                report_unforeseen(error, "what Cartesia says")
                self.keeper.break_off()

    async def _look_after(self, speech: CartesiaSpeech, now: float, *, is_telling: bool) -> None:
        await self._hand_on(speech)
        await self._ask(speech)
        if not speech.is_awaited or speech.context_id not in self._speeches:
            return
        if is_telling:
            await self.still_waiting(speech.context_id)
        if (
            speech.refused_since is not None
            and now - speech.refused_since > self.policy.give_up_secs
        ):
            await self.push_error(
                "expected Cartesia to speak a text within "
                f"{self.policy.give_up_secs:g} s, got errors alone: it is left out",
                category=ErrorCategory.SERVER,
            )
            await self._break_off(speech.context_id)
        elif speech.ask_id is not None and now - speech.last_heard_at > self.policy.answer_secs:
            logger.warning(f"{self}: Cartesia said nothing for {self.policy.answer_secs:g} s")
            self.keeper.break_off(self.policy.answer_secs)

    async def _take_refusal(self, event: Refused, speech: CartesiaSpeech | None) -> None:
        if event.ask_id is not None:
            self._asks.pop(event.ask_id, None)
        if event.is_unknown or event.status in _KEY_STATUSES:
            # Each of the utterances that wait is refused for the same cause.
            if self.is_usable:
                await self._give_up(
                    f"expected Cartesia to speak, got an error with status {event.status}: check "
                    "the key, the plan, the voice and the model",
                    classify_http_status_code(event.status),
                )
        elif speech is not None:
            await self._take_refusal_of(speech, event.status)
        elif event.ask_id is None and event.status >= 500:
            self.keeper.break_off()

    async def _take_silence(self, event: AskDone, speech: CartesiaSpeech) -> None:
        self._asks.pop(event.ask_id or "", None)
        await self._lose(speech)
        if speech.refusals < _SILENT_ASKS - 1:
            speech.refused_since = speech.refused_since or time.monotonic()
            speech.refusals += 1
            await self._ask(speech)
            return
        await self.push_error(
            "expected Cartesia to speak a text, got no audio of it, or too little, when asked "
            "again either: the rest is left out. Look at the voice and the language",
            category=ErrorCategory.UNKNOWN,
        )
        await self._break_off(speech.context_id)

    async def _take_refusal_of(self, speech: CartesiaSpeech, status: int) -> None:
        now = time.monotonic()
        # An ask that has expired meanwhile is not taken up again by Cartesia, a new one is.
        has_expired = 400 <= status < 500 and speech.has_been_heard
        await self._lose(speech)
        if status == 429 or status >= 500 or has_expired:
            speech.refused_since = speech.refused_since or now
            speech.refusals += 1
            speech.retry_at = now + self.policy.pause_after(speech.refusals)
            return
        await self.push_error(
            f"expected Cartesia to speak a text, got an error with status {status}: the text is "
            "left out",
            category=ErrorCategory.UNKNOWN,
        )
        await self._break_off(speech.context_id)

    async def _break_off(self, context_id: str) -> None:
        speech = self._forget(context_id)
        if speech is not None and speech.ask_id is not None:
            await self._cancel_ask(speech.ask_id)
        if speech is not None:
            await self._lose(speech)
        await self.break_off_context(context_id)
        if speech is not None:
            await self.leave_out(speech.unsaid)

    async def _lose(self, speech: CartesiaSpeech) -> None:
        if speech.lose():
            await self.word_broken_off(speech.context_id)

    async def _cancel_ask(self, ask_id: str) -> None:
        await self.send(json.dumps({"context_id": ask_id, "cancel": True}))

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Cancels what is being said; Pipecat calls it."""
        await self.stop_all_metrics()
        speech = self._forget(context_id)
        if speech is not None and speech.ask_id is not None:
            await self._cancel_ask(speech.ask_id)
        await super().on_audio_context_interrupted(context_id)

    async def on_audio_context_completed(self, context_id: str) -> None:
        """Forgets what has been said; Pipecat calls it."""
        self._forget(context_id)
        await super().on_audio_context_completed(context_id)


def _is_short(speech: CartesiaSpeech) -> bool:
    """Whether an ask that is done has brought no audio, or less than its words take."""
    return speech.is_silent or speech.lacks_audio
