"""Listens in to a bot in this process: which words it says, and how each of them sounds.

It listens where the bot speaks to the line, so that it knows the words of whatever speaks there: a
speech service, a realtime model, a clip.
"""

import threading
from collections import deque

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.audio import SAMPLE_RATE, Resampler, encode_mulaw
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.processors.words import HeardTextFrame, WordAligner
from twilio_frames.testing.callers.hearing import KnownWord
from twilio_frames.testing.callers.voice import audible_samples

_TELLING = (
    *(AggregatedTextFrame, InterruptionFrame, TTSAudioRawFrame),
    *(TTSStartedFrame, TTSStoppedFrame),
)


class BotWords:
    """Takes the words of one call's bot from where it speaks to the line.

    It hears what is to be said, not what becomes of it: whether it was heard is for the ear. While
    the call goes on it only takes notes; what they amount to is found out when it is asked.

    Args:
        output: Where the bot speaks: the transport's output.
    """

    def __init__(self, output: FrameProcessor) -> None:
        self._notes: deque[tuple[Frame, int]] = deque()
        self._reading = threading.Lock()
        self._sound = bytearray()
        self._placed_to = 0
        self._utterance = 0
        self._resampler = Resampler(SAMPLE_RATE, SAMPLE_RATE)
        self._layer = WordAligner(self._lay, self._audio)
        self._words: list[KnownWord] = []
        output.add_event_handler("on_before_process_frame", self._on_frame)
        output.add_event_handler("on_before_push_frame", self._on_pushed)

    def _on_frame(self, output: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, _TELLING) and not isinstance(frame, SpeakClipFrame):
            self._notes.append((frame, output.get_clock().get_time()))

    def _on_pushed(self, output: FrameProcessor, frame: Frame) -> None:
        # A clip may never have been in the pipeline before the output tells of it.
        if isinstance(frame, SpeakClipFrame):
            self._notes.append((frame, output.get_clock().get_time()))

    def words(self) -> list[KnownWord]:
        """The words said so far, in order. May be asked by any thread."""
        with self._reading:
            while self._notes:
                self._read(*self._notes.popleft())
            return list(self._words)

    def _read(self, frame: Frame, now: int) -> None:
        match frame:
            case SpeakClipFrame():
                self._take_clip(frame.clip)
            case TTSAudioRawFrame():
                self._take_audio(frame, now)
            case TTSTextFrame():
                self._layer.text(frame)
            case TTSStartedFrame():
                self._layer.start(frame)
            case TTSStoppedFrame():
                self._layer.over(frame.context_id)
                self._begin_utterance()
            case AggregatedTextFrame() if frame.will_be_spoken:
                self._layer.announce(frame)
            case InterruptionFrame():
                self._layer.cut(len(self._sound))
                self._begin_utterance()
            case _:
                pass

    def _begin_utterance(self) -> None:
        self._utterance += 1
        self._placed_to = len(self._sound)

    def _take_audio(self, frame: TTSAudioRawFrame, now: int) -> None:
        if frame.sample_rate != self._resampler.input_rate:
            self._resampler = Resampler(frame.sample_rate, SAMPLE_RATE)
        begin = len(self._sound)
        self._sound += encode_mulaw(self._resampler.resample(frame.audio))
        self._layer.audio(frame.context_id, begin, len(self._sound), now)

    def _take_clip(self, clip: Clip) -> None:
        self._begin_utterance()
        begin = len(self._sound)
        self._sound += clip.mulaw
        for word in clip.words:
            self._lay(HeardTextFrame(word.text, "word"), begin + word.end)
        self._begin_utterance()

    def _audio(self, begin: int, end: int) -> bytes:
        return bytes(self._sound[begin:end])

    def _lay(self, frame: AggregatedTextFrame, end: int) -> None:
        if not isinstance(frame, HeardTextFrame):
            return
        sound = self._audio(self._placed_to, end)
        self._placed_to = max(self._placed_to, end)
        loud = audible_samples(sound)
        if len(loud):
            mulaw = sound[int(loud[0]) : int(loud[-1]) + 1]
            word = KnownWord(text=frame.text, mulaw=mulaw, utterance=self._utterance)
            self._words.append(word)
