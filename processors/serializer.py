"""Twilio's messages to Pipecat's frames and back; no REST, no socket.

:class:`EventFrames` is what the transport uses. :class:`TwilioSerializer` wraps the same piece for
those who keep Pipecat's own websocket transport.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    AudioRawFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
)
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.serializers.base_serializer import FrameSerializer

from twilio_frames.audio import (
    MULAW_SILENCE,
    SAMPLE_RATE,
    Resampler,
    encode_mulaw,
)
from twilio_frames.audio.mulaw import ulaw2lin
from twilio_frames.frames import (
    AudioGapFrame,
    CallEndedFrame,
    CallEndReason,
    CallStartedFrame,
    MarkReachedFrame,
    MulawInputFrame,
    MulawOutputFrame,
    SendMarkFrame,
)
from twilio_frames.protocol import (
    INBOUND,
    BreakKind,
    Clear,
    Dtmf,
    Event,
    Mark,
    MarkEcho,
    Media,
    Role,
    SendMark,
    SendMedia,
    Start,
    Stop,
    Stream,
    StreamState,
    TimestampBreak,
    Violation,
)

__all__ = ["TwilioSerializer"]


class EventFrames:
    """Frames of what arrives on one stream.

    Only the caller's track becomes audio. A hole in it is filled with silence, so that what follows
    lies where it belongs in time; what had been there already is dropped.

    Args:
        sample_rate: Rate of the PCM in the frames, Hz.
        longest_gap_secs: Holes are filled up to this length.
    """

    def __init__(self, *, sample_rate: int = SAMPLE_RATE, longest_gap_secs: float = 5.0):
        self._sample_rate = sample_rate
        self._longest_gap = round(longest_gap_secs * SAMPLE_RATE)
        is_plain = sample_rate == SAMPLE_RATE
        self._resampler = None if is_plain else Resampler(SAMPLE_RATE, sample_rate)
        self.is_stale = False
        """Whether the caller's next audio had been there already, and is dropped."""

    def of(self, event: Event | MarkEcho) -> list[Frame]:
        """The frames an event amounts to, often one, sometimes none."""
        match event:
            case Media():
                is_heard = event.track == INBOUND and not self.is_stale
                self.is_stale = self.is_stale and event.track != INBOUND
                audio = self.audio([event]) if is_heard else None
                return [audio] if audio else []
            case TimestampBreak():
                return self._gap(event)
            case MarkEcho():
                return [
                    MarkReachedFrame(
                        mark=event.name, position=event.position, flushed=event.flushed
                    )
                ]
            case Dtmf():
                # Pipecat's keypad has no A to D, which few telephones have either.
                known = event.digit in _KEYPAD
                return [InputDTMFFrame(button=KeypadEntry(event.digit))] if known else []
            case Start():
                return [CallStartedFrame.of(event)]
            case _:
                return []

    def audio(self, pieces: Sequence[Media]) -> MulawInputFrame | None:
        """The frame of the caller's audio, in pieces that follow each other; None if it is empty.

        Args:
            pieces: At least one.
        """
        mulaw = pieces[0].payload
        if len(pieces) > 1:
            mulaw = b"".join([piece.payload for piece in pieces])
        pcm = ulaw2lin(mulaw, 2)
        if self._resampler is not None:
            pcm = self._resampler.resample(pcm)
        if not pcm:
            return None
        return MulawInputFrame(
            audio=pcm,
            sample_rate=self._sample_rate,
            num_channels=1,
            mulaw=mulaw,
            timestamp=pieces[0].timestamp,
        )

    def _gap(self, gap: TimestampBreak) -> list[Frame]:
        if gap.track != INBOUND:
            return []
        frames: list[Frame] = [AudioGapFrame(kind=gap.kind, milliseconds=gap.size)]
        if gap.kind is not BreakKind.GAP:
            self.is_stale = True
            return frames
        missing = min(gap.size * SAMPLE_RATE // 1000, self._longest_gap)
        silence = Media(payload=bytes([MULAW_SILENCE]) * missing, timestamp=gap.expected)
        audio = self.audio([silence])
        return [*frames, audio] if audio else frames


_KEYPAD = {entry.value for entry in KeypadEntry}


@dataclass(slots=True)
class _Mark:
    name: str
    position: int
    is_flushed: bool = False


class TwilioSerializer(FrameSerializer):
    """Twilio's wire format for Pipecat's own websocket transports.

    Takes the place of Pipecat's ``TwilioFrameSerializer``. Malformed messages are counted and
    skipped instead of ending the call; ``start``, ``stop`` and ``mark`` become frames; only the
    caller's track is heard, its holes filled with silence. It never hangs up: that is the business
    of the application.

    Set the transport's ``audio_out_sample_rate`` to 8000: at any other rate some milliseconds of
    each utterance wait in the resampler until the next one.

    Args:
        stream_sid: The stream's sid, if ``start`` has been read from the socket already. Leave it
            out, and the serializer reads ``connected`` and ``start`` itself.
        call_sid: Twilio's name of the call.
        params: Pipecat's own serializer parameters.
    """

    def __init__(
        self,
        stream_sid: str | None = None,
        call_sid: str | None = None,
        *,
        params: FrameSerializer.InputParams | None = None,
    ):
        super().__init__(params)
        self._stream = Stream(Role.BOT)
        self._sent = 0
        self._marks: list[_Mark] = []
        self._event_frames = EventFrames()
        self._resampler: Resampler | None = None
        self._call_sid = call_sid or ""
        self.violations: Counter[str] = Counter()
        """How many received messages broke which rule."""
        if stream_sid:
            self._stream.adopt(Start(stream_sid=stream_sid, call_sid=self._call_sid))

    async def setup(self, setup: FrameProcessorSetup):
        """Takes the rate at which the pipeline wants the caller's audio."""
        await super().setup(setup)
        self._event_frames = EventFrames(sample_rate=setup.audio_in_sample_rate)

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """The frame of a message; None if it amounts to none. Never raises."""
        frames: list[Frame] = []
        for event in self._stream.receive(data):
            if isinstance(event, Violation):
                self._count(event)
            elif isinstance(event, Stop):
                frames.append(CallEndedFrame(reason=CallEndReason.CALLER_HUNG_UP))
            elif isinstance(event, Mark):
                frames += self._reached(event.name)
            else:
                frames += self._event_frames.of(event)
        return _one(frames)

    def _reached(self, name: str) -> list[Frame]:
        for mark in self._marks:
            if mark.name == name:
                self._marks.remove(mark)
                return [
                    MarkReachedFrame(mark=name, position=mark.position, flushed=mark.is_flushed)
                ]
        return []

    def _count(self, violation: Violation) -> None:
        self.violations[violation.kind.value] += 1
        if self.violations[violation.kind.value] == 1:
            logger.warning(
                f"stream {self._stream.stream_sid}: skipped a message ({violation.kind.value}): "
                f"{violation.detail}; further ones of this kind are counted only"
            )

    async def serialize(self, frame: Frame) -> str | bytes | None:
        """The message of a frame; None if it amounts to none, or before ``start``."""
        if self._stream.start is None:
            return None
        match frame:
            case InterruptionFrame():
                if self._resampler:
                    self._resampler.reset()
                for mark in self._marks:
                    mark.is_flushed = True
                return self._stream.send(Clear())
            case SendMarkFrame():
                self._marks.append(_Mark(frame.mark, self._sent))
                return self._stream.send(SendMark(name=frame.mark))
            case AudioRawFrame():
                return self._media(self._mulaw(frame))
            case EndFrame() | CancelFrame() if self._resampler:
                return self._media(encode_mulaw(self._resampler.flush()))
            case OutputTransportMessageFrame() | OutputTransportMessageUrgentFrame():
                return None if self.should_ignore_frame(frame) else json.dumps(frame.message)
            case _:
                return None

    def _media(self, mulaw: bytes) -> str | None:
        if not mulaw or self._stream.state is not StreamState.STARTED:
            return None
        self._sent += len(mulaw)
        return self._stream.send(SendMedia(payload=mulaw))

    def _mulaw(self, frame: AudioRawFrame) -> bytes:
        if isinstance(frame, MulawOutputFrame):
            return frame.mulaw
        if self._resampler is None or self._resampler.input_rate != frame.sample_rate:
            self._resampler = Resampler(frame.sample_rate, SAMPLE_RATE)
            if frame.sample_rate != SAMPLE_RATE:
                logger.warning(
                    f"{self}: expected audio at 8000 Hz, got {frame.sample_rate} Hz: set the "
                    "transport's audio_out_sample_rate to 8000"
                )
        return encode_mulaw(self._resampler.resample(frame.audio))


def _one(frames: list[Frame]) -> Frame | None:
    """Pipecat's websocket transports take one frame a message: audio is joined, and comes first."""
    audio = [frame for frame in frames if isinstance(frame, MulawInputFrame)]
    if audio:
        return MulawInputFrame.joined(audio)
    return frames[0] if frames else None
