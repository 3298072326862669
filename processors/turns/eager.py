"""Replies that begin to be made while the caller is only likely to be done.

The LLM starts when the turn is likely over, with the words that are there. What it makes is held
back by its service (Pipecat's ``SpeculationGate``) until the turn has ended. If the caller goes on,
or the words come out otherwise, it is withdrawn: nothing of it is said, nothing of it gets into the
conversation, and no function is called.
"""

from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.turns.types import ProcessFrameResult, UserTurnSpeculation
from pipecat.turns.user_stop import (
    EagerMatchPolicy,
    NormalizedMatch,
    SpeechTimeoutUserTurnStopStrategy,
)

from twilio_frames.frames import CallerSpeakingFrame, TurnLikelyOverFrame

__all__ = ["EagerReplyStopStrategy", "PhoneTurnStopStrategy"]


class PhoneTurnStopStrategy(SpeechTimeoutUserTurnStopStrategy):
    """Ends the turn as Pipecat's speech-timeout strategy does, without its warning on each call.

    That warning says that ``stop_secs`` of the VAD is not the 0.2 for which Pipecat's latencies of
    recognisers were measured. On a phone line it is longer on purpose, and the time that a
    recogniser is waited for counts from the end of speech all the same.
    """

    # Pipecat keeps there whether it has warned, and forgets it when a recogniser tells of itself.
    @property
    def _stop_secs_warned(self) -> bool:
        return True

    @_stop_secs_warned.setter
    def _stop_secs_warned(self, warned: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride] It stays so.
        pass


class EagerReplyStopStrategy(PhoneTurnStopStrategy):
    """Ends the turn as Pipecat's speech-timeout strategy does, and has the reply made before that.

    A turn is likely over when a :class:`twilio_frames.frames.TurnLikelyOverFrame` says so, or when
    the VAD has heard the end of speech and the turn waits on. The reply is started once there are
    words, interim ones included, so any recogniser will do. One that gives its words only when the
    VAD has heard the end gains nothing, unless ``user_speech_timeout`` leaves time behind that.

    The LLM has to be one of Pipecat's ``LLMService``: another processor would answer at once, and
    aloud.

    Args:
        user_speech_timeout: Seconds of silence beyond the VAD's in which the caller may go on.
        match_policy: Whether the words are still those that the reply was made for; by default
            but for case, punctuation and spaces.
        most_replies: How often a reply is started ahead of one turn's end; each costs the LLM.
        **kwargs: Pipecat's own.
    """

    def __init__(
        self,
        *,
        user_speech_timeout: float = 0.0,
        match_policy: EagerMatchPolicy | None = None,
        most_replies: int = 3,
        **kwargs,
    ):
        super().__init__(user_speech_timeout=user_speech_timeout, **kwargs)
        self._match_policy = match_policy or NormalizedMatch()
        self._most_replies = most_replies
        self._speculation: UserTurnSpeculation | None = None
        self._outspoken: str | None = None
        self._finals: list[str] = []
        self._interim = ""
        self._in_turn = False
        self._has_early_words = False
        self._is_likely_over = False
        self._replies = 0
        self._calls_function = False
        self.started = 0
        """How many replies were started ahead of a turn's end, in this call."""
        self.kept = 0
        """How many of them were said."""

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Takes in words, speech and silence; starts a reply or withdraws it."""
        match frame:
            case TranscriptionFrame():
                self._take_words(frame.text.strip())
            case InterimTranscriptionFrame():
                self._interim = frame.text.strip()
            case VADUserStartedSpeakingFrame():
                await self._caller_goes_on()
            case CallerSpeakingFrame() if frame.is_certain:
                await self._caller_goes_on()
            case TurnLikelyOverFrame() | VADUserStoppedSpeakingFrame():
                self._is_likely_over = True
            case EagerEndOfTurnCancelFrame():
                # By the LLM: a function is called when the turn has ended, and not before.
                self._speculation, self._calls_function = None, True
            case _:
                pass
        result = await super().process_frame(frame)
        # The turn may have ended by that.
        if self._in_turn and self._is_likely_over and self._words():
            await self._reply()
        return result

    async def handle_user_turn_started(self) -> None:
        """Begins with no words; the frame that began the turn is yet to come."""
        self._in_turn = True
        self._calls_function = False
        self._replies = 0
        self._outspoken = None
        self._finals.clear()
        await super().handle_user_turn_started()

    async def handle_user_turn_stopped(self) -> None:
        """Forgets the turn, and withdraws what was not said."""
        await super().handle_user_turn_stopped()
        self._in_turn = self._has_early_words = self._is_likely_over = False
        self._finals.clear()
        self._interim = ""
        await self._settle()

    async def trigger_user_turn_stopped(
        self, *, enable_user_speaking_frames: bool | None = None
    ) -> None:
        """Ends the turn: with the reply that is there if it fits, else with a new one."""
        if self._fits():
            self._speculation, self._replies = None, 0
            self.kept += 1
            await self.trigger_user_turn_finalized(
                enable_user_speaking_frames=enable_user_speaking_frames, confirms_speculation=True
            )
            return
        await self._settle()
        await super().trigger_user_turn_stopped(
            enable_user_speaking_frames=enable_user_speaking_frames
        )

    def _take_words(self, text: str) -> None:
        self._interim = ""
        if self._in_turn:
            self._finals.append(text)
        elif text:
            # They may become a part of the next turn, or be dropped as a backchannel.
            self._has_early_words = True

    def _words(self) -> str:
        return " ".join([*self._finals, self._interim]).strip()

    def _fits(self) -> bool:
        # The conversation gets the final words alone.
        final = " ".join(self._finals)
        return self._speculation is not None and self._match_policy.matches(
            self._speculation.text, final
        )

    async def _reply(self) -> None:
        words = self._words()
        if self._speculation is not None:
            if self._match_policy.matches(self._speculation.text, words):
                return
            await self._withdraw()
        is_vain = self._calls_function or self._has_early_words or self._is_outspoken(words)
        if is_vain or self._replies >= self._most_replies:
            return
        self._replies += 1
        self.started += 1
        self._speculation = UserTurnSpeculation(text=words)
        await self.trigger_user_turn_inference_triggered(speculation=self._speculation)

    def _is_outspoken(self, words: str) -> bool:
        # More was said than these, though the recogniser has not told yet.
        return self._outspoken is not None and self._match_policy.matches(self._outspoken, words)

    async def _caller_goes_on(self) -> None:
        self._is_likely_over = False
        if self._speculation is not None:
            self._outspoken = self._speculation.text
        await self._withdraw()

    async def _withdraw(self) -> None:
        if self._speculation is not None:
            self._speculation = None
            await self.trigger_user_turn_speculation_cancelled()

    async def _settle(self) -> None:
        # A withdrawal that came right behind its reply's start may have overtaken it on the way to
        # the LLM, which would then say that reply at the end of the turn. So it is said once more.
        replies, self._replies, self._speculation = self._replies, 0, None
        if replies:
            await self.trigger_user_turn_speculation_cancelled()
