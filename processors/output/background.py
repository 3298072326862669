"""Sound beside the bot's speech: a mixer's, or a processor's that goes on and on.

Neither counts as speech, and nothing that is said waits for it. A mixer makes as much as is asked
for, under speech and in its pauses. A processor's sound comes as time goes, and is heard in the
pauses; what has come and was not asked for soon is old, and is dropped.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from pipecat.audio.mixers.base_audio_mixer import BaseAudioMixer
from pipecat.frames.frames import MixerControlFrame

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw
from twilio_frames.processors.output.line_sound import sound_of
from twilio_frames.safe_logging import report_unforeseen

_LONGEST_KEPT = SAMPLE_RATE // 4
# In the pauses so much is sent at a time: every message is one of Twilio's to take, and what has
# been sent stands before the next word.
_MESSAGE_BYTES = 320


@dataclass(frozen=True, slots=True)
class _Step:
    """By what sound that is made as time goes is told from sound that was ready; seconds."""

    # Sound that was ready comes in a lump; two or three pieces in step with time are no chance.
    in_step_secs: float = 0.2
    ahead_secs: float = 0.5
    behind_secs: float = 1.0
    short_secs: float = 0.25


_STEP = _Step()


@dataclass(frozen=True, slots=True)
class _MixerLimits:
    """How long a mixer may take; seconds."""

    # It may load its sounds when it starts, while the caller waits.
    start_secs: float = 5.0
    # Who hears nothing for a second hears a hole: what has been sent lasts less.
    piece_secs: float = 1.0


_MIXER_LIMITS = _MixerLimits()


class LiveSound:
    """Tells sound that is made as time goes, a room's noise say, from sound that was ready.

    The one comes at the pace at which it is heard, the other in a lump.
    """

    def __init__(self) -> None:
        self._began = self._last = 0.0
        self._ahead = 0.0
        self._usual = 0.0

    def is_live(self, now: float, secs: float) -> bool:
        """Whether sound that comes now goes on with what came before, in step with time.

        Args:
            now: The time.
            secs: How long the sound is.
        """
        passed = now - self._last
        if self._usual == 0.0 or passed > max(_STEP.behind_secs, 3 * secs):
            self._begin(now, secs)
            return False
        if secs > max(_STEP.short_secs, 4 * self._usual):
            # Something else, which is heard between.
            return False
        self._last, self._usual = now, secs
        # A stall of the loop makes what came meanwhile come at once.
        self._ahead = max(-_STEP.behind_secs, self._ahead - passed) + secs
        if self._ahead > _STEP.ahead_secs + secs:
            self._begin(now, secs)
        return now - self._began >= _STEP.in_step_secs

    def _begin(self, now: float, secs: float) -> None:
        self._began = self._last = now
        self._ahead = self._usual = secs


class Background:
    """What is heard beside the bot's speech.

    Args:
        mixer: Pipecat's, or one for each destination, of which there is one here; None for none.
    """

    def __init__(
        self, mixer: BaseAudioMixer | Mapping[str | None, BaseAudioMixer] | None = None
    ) -> None:
        self._mixer = mixer.get(None) if isinstance(mixer, Mapping) else mixer
        self._is_started = self._has_failed = False
        self._kept = bytearray()
        self._mixes = False
        self.goes_on = False
        """Whether there is something to be heard in a pause, or may be."""

    def _stands(self) -> None:
        """Notes what there is to be heard, whenever that may have changed."""
        self._mixes = self._is_started and not self._has_failed
        self.goes_on = self._mixes or bool(self._kept)

    async def start(self) -> None:
        """Starts the mixer, at the line's rate.

        Raises:
            TimeoutError: It did not start in time.
            Exception: What it raised.
        """
        if self._mixer is not None and not self._is_started:
            await _in_time(self._mixer.start(SAMPLE_RATE), _MIXER_LIMITS.start_secs)
            self._is_started = True
            self._stands()

    async def stop(self) -> None:
        """Stops the mixer, once."""
        was_started, self._is_started = self._is_started, False
        self._stands()
        if self._mixer is not None and was_started:
            # Others have to stop as well.
            try:
                await _in_time(self._mixer.stop(), _MIXER_LIMITS.piece_secs)
            except Exception as error:
                report_unforeseen(error, "a mixer that was to stop")

    async def control(self, frame: MixerControlFrame) -> None:
        """Has the mixer do what a frame says; it is heard from what is sent next."""
        if self._mixer is not None:
            await _in_time(self._mixer.process_frame(frame), _MIXER_LIMITS.piece_secs)

    def add(self, mulaw: bytes) -> None:
        """Takes sound that has just come."""
        self._kept += mulaw
        del self._kept[: max(0, len(self._kept) - max(_LONGEST_KEPT, len(mulaw)))]
        self._stands()

    def clear(self) -> None:
        """Forgets what has come."""
        self._kept.clear()
        self._stands()

    async def under(self, mulaw: bytes) -> bytes:
        """Speech with the mixer's sound under it; as it was where there is none.

        A processor's sound comes with time, and speech is sent ahead of it: they do not meet.
        """
        self.clear()
        return encode_mulaw(await self._mixed(decode_mulaw(mulaw))) if self._mixes else mulaw

    async def between(self) -> bytes:
        """The background alone, for a pause; empty where it is silent."""
        length = _MESSAGE_BYTES if self._mixes else min(_MESSAGE_BYTES, len(self._kept))
        kept = bytes(self._kept[:length])
        del self._kept[:length]
        self._stands()
        pcm = await self._mixed(decode_mulaw(kept) + bytes(2 * (length - len(kept))))
        return encode_mulaw(pcm) if any(pcm) else b""

    async def _mixed(self, pcm: bytes) -> bytes:
        if self._mixer is None or not self._mixes:
            return pcm
        # The bot has more to say than what is heard beside it.
        mixed = await sound_of(self._mixer.mix(pcm), "a mixer")
        self._has_failed = mixed is None
        self._stands()
        return mixed if mixed is not None and len(mixed) == len(pcm) else pcm


async def _in_time(work: Awaitable[Any], seconds: float) -> Any:
    async with asyncio.timeout(seconds):
        return await work
