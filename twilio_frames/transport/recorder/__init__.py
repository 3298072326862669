"""A call on disk, as it was heard."""

import asyncio
import functools
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from loguru import logger

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.transport.recorder.wav import StereoWav

__all__ = ["CallRecorder"]

_CALLER, _BOT = 0, 1
_WRITE_BYTES = SAMPLE_RATE // 2
_MOST_BYTES = 60 * SAMPLE_RATE
# How far the clocks of two messages may be apart for audio that was heard without a seam.
_SEAM = SAMPLE_RATE // 50


class _Stretch(NamedTuple):
    channel: int
    begin: int
    mulaw: bytearray


@functools.cache
def _writer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")


class CallRecorder:
    """Records a call as it was heard: a stereo WAV file, the caller left, the bot right.

    8 kHz, 16 bit, silence where silence was, as long as the call. What an interruption threw away
    is not in it. Written twice a second on a thread that all recorders share, and readable at every
    moment, so that a process that is killed loses a second of it at most. Where the disk is full or
    too slow, that is logged once, and the call goes on without its recording, or with silence in
    it.

    Implements :class:`twilio_frames.transport.taps.CallTap`.

    Example::

        recorder = CallRecorder("call.wav")
        call.transport.add_tap(recorder)

    Args:
        path: The file; what was there is gone.
    """

    def __init__(self, path: Path | str):
        self.failure: OSError | None = None
        """Why recording stopped before the call did; None if it did not."""
        self.lost_secs = 0.0
        """How much audio was not recorded because the disk was too slow."""
        self._path = Path(path)
        self._wav: StereoWav | None = None
        self._waiting: list[_Stretch] = []
        self._waiting_bytes = 0
        self._ends = [0, 0]
        self._writing: Future[None] | None = None
        self._has_ended = False

    def caller_audio(self, mulaw: bytes, at: float) -> None:
        """Records what the caller said."""
        self._take(_CALLER, mulaw, at)

    def bot_audio(self, mulaw: bytes, at: float) -> None:
        """Records what was heard of the bot; may come later than what the caller said to it."""
        self._take(_BOT, mulaw, at)

    def line_ended(self, at: float) -> None:
        """Makes the recording as long as the call, and closes it."""
        if self._has_ended:
            return
        self._has_ended = True
        self._write(ends_at=round(at * SAMPLE_RATE))

    async def wait_until_written(self, patience: float = 10.0) -> bool:
        """Waits until the recording is whole on disk, once the line has ended.

        Args:
            patience: Seconds to wait at most.

        Returns:
            False if it is not by then, or recording failed.
        """
        if self._writing is not None:
            await asyncio.wait([asyncio.wrap_future(self._writing)], timeout=patience)
        is_written = self._writing is not None and self._writing.done()
        return self._has_ended and is_written and self.failure is None

    def _take(self, channel: int, mulaw: bytes, at: float) -> None:
        if self._has_ended or self.failure is not None:
            return
        begin = round(at * SAMPLE_RATE)
        if abs(begin - self._ends[channel]) <= _SEAM:
            begin = self._ends[channel]
        self._ends[channel] = begin + len(mulaw)
        if begin < 0:
            begin, mulaw = 0, mulaw[-begin:]
        if self._waiting_bytes + len(mulaw) > _MOST_BYTES:
            self._lose(mulaw)
            return
        self._append(channel, begin, mulaw)
        is_idle = self._writing is None or self._writing.done()
        if self._waiting_bytes >= _WRITE_BYTES and is_idle:
            self._write()

    def _append(self, channel: int, begin: int, mulaw: bytes) -> None:
        self._waiting_bytes += len(mulaw)
        for stretch in reversed(self._waiting):
            if stretch.channel == channel:
                if stretch.begin + len(stretch.mulaw) == begin:
                    stretch.mulaw.extend(mulaw)
                    return
                break
        self._waiting.append(_Stretch(channel, begin, bytearray(mulaw)))

    def _lose(self, mulaw: bytes) -> None:
        if not self.lost_secs:
            logger.error("recording: the disk is too slow, some of a call is not recorded")
        self.lost_secs += len(mulaw) / SAMPLE_RATE

    def _write(self, ends_at: int | None = None) -> None:
        stretches, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._writing = _writer().submit(self._write_in_thread, stretches, ends_at)

    def _write_in_thread(self, stretches: list[_Stretch], ends_at: int | None) -> None:
        if self.failure is not None:
            return
        try:
            self._wav = self._wav or StereoWav(self._path)
            for channel, begin, mulaw in stretches:
                self._wav.write(channel, begin, bytes(mulaw))
            if ends_at is None:
                self._wav.save()
            else:
                self._wav.end(ends_at)
        except OSError as error:
            # Not the error's own text: it holds the path, which may name the caller.
            logger.error(f"recording stopped: {error.strerror}; the call goes on")
            self.failure = error
            self._give_up()

    def _give_up(self) -> None:
        if self._wav is not None:
            self._wav.close()
