"""What a call log itself does in a minute of a call, as processor time, all threads.

The caller's audio comes 50 times a second, the bot speaks half of the time, a turn takes ten
seconds; each frame and message is shown to the log as a pipeline would. What it takes to make the
frames is measured in the same way without a log, and taken off::

    python bench/call_log_steps.py
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection

from twilio_frames.calllog import CallLog
from twilio_frames.calllog.line import LineNotes
from twilio_frames.frames import MulawInputFrame, MulawOutputFrame
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol import Media, Playback, SendMedia

_HOPS = 3
_TURN_SECS = 10
_SOUND = bytes(range(256)) * 4


class Minute:
    """What happens on a call in a minute, at no pace, and its log.

    Args:
        path: The log's file.
        logs: Whether it is shown to the log.
    """

    def __init__(self, path: Path, *, logs: bool):
        self._log = CallLog(path, words=True)
        self._logs = logs
        self._processor = IdentityFilter()
        self._playback = Playback()
        self._line = LineNotes(
            self._log._note,  # pyright: ignore[reportPrivateUsage] It stands in for a transport.
            opened_at=0.0,
            underruns=lambda: 0,
            ended=lambda: None,
        )

    async def pass_by(self) -> float:
        """Lets it pass; gives the seconds of processor time it took."""
        begun = time.process_time()
        for step in range(60 * 50):
            at = step / 50
            self._hear(at)
            if at % _TURN_SECS >= _TURN_SECS / 2 and step % 5 == 0:
                self._speak(at)
            if step % (50 * _TURN_SECS) == 0:
                self._turn()
            if self._logs and step % 13 == 0:
                self._line.tick(at)
            if self._logs and step % 50 == 0:
                self._log._writer.flush()  # pyright: ignore[reportPrivateUsage]
                # The thread that writes gets its turn, as it would within a second.
                await asyncio.sleep(0)
        self._log.close()
        await self._log.wait_until_written()
        return time.process_time() - begun

    def _show(self, frame: Frame, hops: int = _HOPS) -> None:
        for _ in range(hops):
            data = FramePushed(
                source=self._processor,
                destination=self._processor,
                frame=frame,
                direction=FrameDirection.DOWNSTREAM,
                timestamp=0,
            )
            if self._logs:
                self._log.observe(data)

    def _hear(self, at: float) -> None:
        media = Media(payload=_SOUND[:160])
        if self._logs:
            self._line.received(media, at)
            self._line.caller_audio(media.payload, at)
        self._show(_HEARD)

    def _speak(self, at: float) -> None:
        message = SendMedia(payload=_SOUND[:800])
        if self._logs:
            self._line.sending(message, self._playback, at)
            self._line.bot_audio(message.payload, at)
        self._playback.audio_sent(len(message.payload), at)
        self._show(_SAID)
        if round(10 * at) % 4 == 0:
            self._show(HeardTextFrame("word", "word", context_id="context"))

    def _turn(self) -> None:
        frames: list[Frame] = [
            VADUserStartedSpeakingFrame(),
            UserStartedSpeakingFrame(),
            InterruptionFrame(),
            VADUserStoppedSpeakingFrame(),
            TranscriptionFrame("when will it arrive", "", ""),
            UserStoppedSpeakingFrame(),
            LLMFullResponseStartFrame(),
            *(LLMTextFrame("word ") for _ in range(20)),
            LLMFullResponseEndFrame(),
            TTSStartedFrame(),
            BotStartedSpeakingFrame(),
            TTSStoppedFrame(),
            BotStoppedSpeakingFrame(),
        ]
        for frame in frames:
            self._show(frame)


_HEARD = MulawInputFrame(b"\0\0" * 160, 8000, 1, mulaw=_SOUND[:160])
_SAID = MulawOutputFrame.of(_SOUND[:800])


async def measure(rounds: int, folder: Path) -> list[float]:
    """Percent of a core that the log of one call takes, each round."""
    shares: list[float] = []
    for number in range(rounds):
        path = folder / f"{number}.jsonl"
        seconds = [await Minute(path, logs=logs).pass_by() for logs in (True, False)]
        shares.append(100 * (seconds[0] - seconds[1]) / 60)
    return shares


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shares = asyncio.run(measure(options.rounds, Path(folder)))
    print(f"{statistics.median(shares):.4f} % of a core a call (best {min(shares):.4f})")


if __name__ == "__main__":
    main()
