"""Clips that are made once: kept on disk, and in memory for all calls of the process."""

import asyncio
import hashlib
import json
import os
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loguru import logger
from pipecat.services.tts_service import TTSService

from twilio_frames.processors.clips import Clip
from twilio_frames.processors.clips.files import SUFFIX, forget_oldest, read_clip, write_clip
from twilio_frames.processors.clips.recorder import MakesTTS, made_service, record_clips

__all__ = ["ClipStore"]

_FORMAT = 1
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def clip_folder() -> Path:
    """Where clips are kept: ``TWILIO_FRAMES_CLIPS``, or a folder in the user's cache."""
    if folder := os.environ.get("TWILIO_FRAMES_CLIPS"):
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "twilio-frames" / "clips"


class ClipStore:
    """Keeps clips by what is said and who says it.

    A clip belongs to its text and to its service's class and settings (model, voice, language,
    speed); if one of these changes, another is made. A file that is broken is made anew. A disk
    that is full, or may not be written to, costs a warning and nothing else.

    Args:
        folder: Where the files are; None for :func:`clip_folder`.
        most_bytes: What the files may take; those that were not used for longest go first.
    """

    _MOST_IN_MEMORY: int = 256
    """Clips that are kept in memory, unless more are asked for at once."""

    def __init__(self, folder: Path | str | None = None, *, most_bytes: int = 50_000_000):
        self._folder = Path(folder) if folder is not None else clip_folder()
        self._most_bytes = most_bytes
        self._clips: OrderedDict[str, Clip] = OrderedDict()
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._has_warned = False

    async def clip(
        self, text: str, tts: TTSService | MakesTTS, *, apart: str = "", time_limit: float = 20.0
    ) -> Clip:
        """A text as the service says it: from memory, from disk, or recorded now.

        Args:
            text: What is said.
            tts: A service that no pipeline has run yet, or what makes one.
            apart: Tells services apart whose class and settings are the same.
            time_limit: Seconds that recording may take.

        Raises:
            ClipError: If it has to be recorded, and the service fails.
        """
        return (await self.clips([text], tts, apart=apart, time_limit=time_limit))[0]

    async def clips(
        self,
        texts: Sequence[str],
        tts: TTSService | MakesTTS,
        *,
        apart: str = "",
        time_limit: float = 20.0,
    ) -> list[Clip]:
        """Several texts, recorded by one service as far as they have to be; see :meth:`clip`.

        Args:
            texts: What is said.
            tts: A service that no pipeline has run yet, or what makes one.
            apart: Tells services apart whose class and settings are the same.
            time_limit: Seconds that recording each may take.

        Raises:
            ClipError: If one has to be recorded, and the service fails.
        """
        service = await made_service(tts)
        keys = [_key(text, service, apart) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        if not all(key in self._clips for key in wanted):
            # Whoever asks for the same meanwhile gets what is made here.
            async with self._turn():
                await self._find_or_record(wanted, service, time_limit)
        for key in keys:
            self._clips.move_to_end(key)
        return [self._clips[key] for key in keys]

    def _turn(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            self._turns = loop, asyncio.Lock()
        return self._turns[1]

    async def _find_or_record(
        self, wanted: dict[str, str], service: TTSService, time_limit: float
    ) -> None:
        for key in wanted:
            if key not in self._clips:
                clip = await asyncio.to_thread(read_clip, self._path(key))
                self._clips |= {key: clip} if clip else {}
        missing = {key: text for key, text in wanted.items() if key not in self._clips}
        if not missing:
            return
        clips = await record_clips(service, list(missing.values()), time_limit=time_limit)
        for key, clip in zip(missing, clips, strict=True):
            self._clips[key] = clip
            await asyncio.to_thread(self._keep, key, clip)
        for key in wanted:
            self._clips.move_to_end(key)
        while len(self._clips) > max(self._MOST_IN_MEMORY, len(wanted)):
            self._clips.popitem(last=False)

    def _keep(self, key: str, clip: Clip) -> None:
        try:
            write_clip(self._path(key), clip)
            forget_oldest(self._folder, self._most_bytes)
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    f"expected to keep recorded speech in {self._folder}, got {error.strerror}: it "
                    "is kept in memory only, and recorded again when the process starts anew"
                )

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{SUFFIX}"


def _key(text: str, service: TTSService, apart: str) -> str:
    kind = type(service)
    about = [_FORMAT, f"{kind.__module__}.{kind.__qualname__}", _settings(service), apart, text]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _settings(service: TTSService) -> dict[str, str]:
    given: dict[str, Any] = service.settings.given_fields()
    return {name: _ADDRESS.sub("", repr(given[name])) for name in sorted(given)}
