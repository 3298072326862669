"""Words as a person would say them, each with a sound of its own."""

from functools import lru_cache

import numpy as np

from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.local.synthesiser import BOT_VOICE, BOT_WORDS_PER_MINUTE, Synthesiser
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.speech import to_mulaw

_WATERMARK = 150


@lru_cache(maxsize=4096)
def spoken(word: str) -> bytes:
    """A word as a person would say it, with a faint noise of its own by which it can be told."""
    synthesiser = Synthesiser(BOT_VOICE, words_per_minute=BOT_WORDS_PER_MINUTE)
    speech = synthesiser.synthesise(word)
    mulaw = to_mulaw(speech.pcm, speech.sample_rate)
    loud = audible_samples(mulaw)
    pcm = np.frombuffer(decode_mulaw(mulaw), dtype=np.int16)[loud[0] : loud[-1] + 1]
    source = np.random.default_rng(list(word.encode()))
    marked = pcm + source.integers(-_WATERMARK, _WATERMARK, len(pcm))
    marked_mulaw = encode_mulaw(marked.clip(-32768, 32767).astype(np.int16).tobytes())
    # Mu-law has two zeros, of which only one survives being decoded and encoded.
    return encode_mulaw(decode_mulaw(marked_mulaw))
