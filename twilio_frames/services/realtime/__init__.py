"""OpenAI's Realtime models on the phone line: mu-law both ways, and a memory of what was heard.

Theory of operation
-------------------
The model hears and speaks mu-law, so the caller's bytes go out as Twilio sent them and the model's
come to the ear as it made them.

*Whose turn it is* the pipeline says, as with any other service: ``PhoneVAD`` and the turn
strategies before this service. Only what they take for a turn reaches the model. While the caller
may want to speak the output is held; a cough costs a moment of silence and leaves no trace. What is
as long as a word, and too short to be a turn for its length, is transcribed by the model's session
and deleted there unless its words interrupt; see ``realtime_inquiry``. With ``turn_detection`` in
the session the server decides instead, and cuts its reply off itself.

*What was heard* the output says, with a :class:`twilio_frames.frames.SpeechCutFrame` once Twilio's
marks have come back; that is where the model's message is truncated.

*A session that breaks* is opened again, and the conversation laid before it anew: the context, with
what was heard; the turn that was not answered, as the caller spoke it, where the pipeline does not
have its words already.
"""

from dataclasses import replace
from typing import Any

from pipecat.frames.frames import (
    StartFrame,
    STTMetadataFrame,
)
from pipecat.utils.types import is_given

from twilio_frames.services.realtime.replies import RealtimeReplies
from twilio_frames.services.realtime.settings import phone_session
from twilio_frames.services.realtime.turns import RealtimeTurns

__all__ = ["PhoneOpenAIRealtimeLLMService"]


class PhoneOpenAIRealtimeLLMService(RealtimeTurns):
    """Pipecat's ``OpenAIRealtimeLLMService`` for a phone call.

    Stands between the two halves of the context, in the place of STT, LLM and TTS. It needs a VAD
    and turn strategies before it, such as ``PhoneVAD`` and ``PhoneContextAggregator``; with
    ``turn_detection`` given in the session, Pipecat's ``ExternalUserTurnStrategies`` instead.

    Args:
        api_key: OpenAI's key.
        settings: Pipecat's. Audio is mu-law whatever they say; the caller's words are transcribed
            unless they say how; turns are the pipeline's unless they say otherwise.
        filler_audio: Mu-law, played once when an answer keeps the caller waiting.
        apology_audio: Mu-law, played when no answer will come.
        patience_secs: Silence after which the filler is played.
        answer_secs: Silence of the model's while it owes an answer, after which its session counts
            as dead.
        batch_secs: How much of the caller's audio goes in one message.
        words_secs: How long the transcript of a short sound over the bot is waited for, so that a
            word interrupts and an 'uh-huh' does not; 0.0 to go by the length of speech alone.
        **kwargs: Pipecat's own, ``base_url`` among them.
    """

    def __init__(
        self,
        *,
        api_key: str,
        settings: RealtimeReplies.Settings | None = None,
        filler_audio: bytes = b"",
        apology_audio: bytes = b"",
        patience_secs: float = 2.0,
        answer_secs: float = 5.0,
        batch_secs: float = 0.06,
        words_secs: float = 0.8,
        **kwargs: Any,
    ):
        asked = settings or self.Settings()
        given = asked.session_properties
        session = phone_session(given if is_given(given) else None)
        super().__init__(
            batch_secs=batch_secs,
            words_secs=words_secs,
            api_key=api_key,
            settings=replace(asked, session_properties=session),
            filler_audio=filler_audio,
            apology_audio=apology_audio,
            patience_secs=patience_secs,
            answer_secs=answer_secs,
            **kwargs,
        )

    async def start(self, frame: StartFrame) -> None:
        """Starts; tells the pipeline that no turn need wait for its words."""
        await super().start(frame)
        if self._is_turn_detection_disabled() and not self._has_recogniser:
            await self.broadcast_frame(
                STTMetadataFrame, service_name=self.name, ttfs_p99_latency=0.0
            )

    # Sessions.

    async def _lost(self) -> None:
        if self._speech.current is not None:
            # Part of the answer is heard, so the turn has been taken in.
            self._audio.answered()
        self._inquiry.lost()
        await super()._lost()

    async def _restore(self) -> None:
        await super()._restore()
        self._audio.start_over(self._inquiry.turn_end)
        if self._audio.flows:
            # The server hears the turn again, and answers by itself.
            waits = self._audio.is_unanswered
            self._run_llm_when_api_session_ready &= not waits
            return
        if not self._audio.is_unanswered:
            return
        await self._send_again()
        is_told = self._audio.is_sent and not self._inquiry.lost_stretches
        if not self._audio.in_turn and not is_told:
            self._api_session_ready = True
            await self._commit()

    async def _update_settings(self, delta: Any) -> Any:
        if is_given(delta.session_properties):
            delta.session_properties = phone_session(delta.session_properties)
        return await super()._update_settings(delta)
