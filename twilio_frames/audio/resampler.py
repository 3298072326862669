"""PCM from one sample rate to another as a stream that loses nothing at its end."""

import numpy as np
import soxr  # pyright: ignore[reportMissingTypeStubs]  # soxr ships no stubs


class Resampler:
    """Converts one direction of one stream of 16-bit mono PCM, keeping its state between chunks.

    A good filter has to look ahead, so some milliseconds stay inside until more audio, or
    :meth:`flush`, pushes them out. Equal rates pass through untouched and nothing stays inside.

    Args:
        input_rate: Sample rate of what goes in, Hz.
        output_rate: Sample rate of what comes out, Hz.
        quality: soxr's name for the filter: "VHQ", "HQ", "MQ", "LQ" or "QQ" (which holds nothing).
    """

    def __init__(self, input_rate: int, output_rate: int, *, quality: str = "HQ"):
        if input_rate <= 0 or output_rate <= 0:
            raise ValueError(
                f"expected sample rates above 0 Hz, got {input_rate} and {output_rate}: "
                "pass the rate the audio was made at"
            )
        self.input_rate = input_rate
        self.output_rate = output_rate
        self._half_sample = b""
        self._stream = (
            None
            if input_rate == output_rate
            else soxr.ResampleStream(input_rate, output_rate, 1, dtype="float32", quality=quality)
        )

    def resample(self, pcm: bytes) -> bytes:
        """The part of the output that is ready after this chunk; may be empty.

        Args:
            pcm: Signed 16-bit native-endian samples. A sample cut in two by a chunk's end is
                joined to its other half in the next chunk.
        """
        return self._resample(pcm, last=False)

    def flush(self) -> bytes:
        """What was still inside; the resampler is then as new, for the next utterance."""
        self._half_sample = b""
        return self._resample(b"", last=True)

    def reset(self) -> None:
        """Forgets what is still inside, as after an interruption."""
        self._half_sample = b""
        if self._stream is not None:
            self._stream.clear()

    def _resample(self, pcm: bytes, *, last: bool) -> bytes:
        pcm = self._half_sample + pcm
        whole = len(pcm) & ~1
        self._half_sample = pcm[whole:]
        pcm = pcm[:whole]
        if self._stream is None:
            return pcm
        # In floats, since soxr dithers integers: the same speech would not come out the same twice.
        samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float32)
        resampled = self._stream.resample_chunk(samples, last=last)
        if last:
            self._stream.clear()
        return np.rint(resampled).clip(-32768, 32767).astype(np.int16).tobytes()
