"""The one thread of this process that speaks with espeak-ng.

The library keeps one state per process and is not thread-safe, so every speaker's sentences go
through here one after another, each with its own voice. A sentence takes some milliseconds. The
thread ends with the interpreter. A forked process starts its own; the fork waits for the sentence
in hand, so that the child finds the library at rest.
"""

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from twilio_frames.errors import SynthesisError
from twilio_frames.local.espeak import Espeak, Voice
from twilio_frames.local.recognition.fitting import fitted, gain_for
from twilio_frames.local.speech import Speech

# Sounds of every strength, to measure a voice by.
_LEVEL_SENTENCE = "Thanks for calling. We have six kinds of coffee, and you may choose your own."


class EspeakThread:
    """Takes sentences from any thread, and gives futures of speech.

    Args:
        most_waiting: Sentences taken before further ones are refused.
    """

    def __init__(self, *, most_waiting: int = 1024):
        self._most_waiting = most_waiting
        self._speaking = threading.Lock()
        self._espeak: Espeak | None = None
        self._gains: dict[Voice, float] = {}
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._speaking.acquire,
                after_in_parent=self._speaking.release,
                after_in_child=self._begin_in_child,
            )

    def submit(self, text: str, voice: Voice, *, pause: float = 0.0) -> Future[Speech]:
        """Has a sentence spoken.

        Args:
            text: A sentence, see ``spoken_text``.
            voice: Who speaks it.
            pause: Seconds of silence after it.

        Returns:
            Its speech. The future may be cancelled until its turn comes; it may hold what
            :meth:`Espeak.synthesise` raises.

        Raises:
            SynthesisError: If too many sentences wait.
        """
        if not self._places.acquire(blocking=False):
            raise SynthesisError(
                f"expected at most {self._most_waiting} sentences to wait for espeak-ng, "
                "got one more: let fewer speakers speak at once"
            )
        places = self._places
        future = self._executor.submit(self._speak, text, voice, pause)
        future.add_done_callback(lambda _: places.release())
        return future

    def _begin(self) -> None:
        self._places = threading.BoundedSemaphore(self._most_waiting)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")

    def _begin_in_child(self) -> None:
        self._begin()
        self._speaking.release()

    def _speak(self, text: str, voice: Voice, pause: float) -> Speech:
        with self._speaking:
            espeak = self._espeak = self._espeak or Espeak()
            rate = espeak.sample_rate
            if voice not in self._gains:
                spoken, _ = espeak.synthesise(_LEVEL_SENTENCE, voice)
                self._gains[voice] = gain_for(spoken, sample_rate=rate)
            pcm, marks = espeak.synthesise(text, voice)
        gain = self._gains[voice]
        return fitted(text, pcm, marks, sample_rate=rate, gain=gain, pause=pause)


espeak_thread = EspeakThread()
