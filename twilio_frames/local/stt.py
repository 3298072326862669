"""The keyless recogniser as a service of a pipeline."""

from typing import Any

from twilio_frames.local.recognition.recogniser import UNINTELLIGIBLE, Recogniser
from twilio_frames.processors.stt import UtteranceSTTService

__all__ = ["PocketsphinxSTTService"]


class PocketsphinxSTTService(UtteranceSTTService):
    """Recognises what a grammar allows, on this machine, without a key.

    Speech that the grammar has no sentence for becomes ``UNINTELLIGIBLE``, so that the bot can say
    that it did not understand. Noise without speech becomes nothing.
    """

    def __init__(self, recogniser: Recogniser, **kwargs: Any):
        """Makes the service of one call.

        Args:
            recogniser: One for all calls of the process.
            **kwargs: Passed to ``UtteranceSTTService``.
        """
        # From the end of speech: half a second until the VAD is sure, and the search.
        super().__init__(**{"ttfs_p99_latency": 1.3, **kwargs})
        self._recogniser = recogniser

    async def transcribe(self, pcm: bytes) -> str | None:
        """The sentence that was said, ``UNINTELLIGIBLE``, or None for noise."""
        recognition = await self._recogniser.recognise(pcm, self.sample_rate)
        if not recognition.is_speech:
            return None
        return recognition.text or UNINTELLIGIBLE
