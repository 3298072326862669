"""What Google refuses of a request, as it was checked against its documentation."""

import re

from google.cloud.speech_v2.types import cloud_speech
from google.cloud.texttospeech_v1.types import cloud_tts

from twilio_frames.audio import SAMPLE_RATE

MOST_AUDIO = 25_600
"""Bytes of audio in one request (https://docs.cloud.google.com/speech-to-text/docs/quotas)."""

_RECOGNIZER = re.compile(r"projects/[^/]+/locations/[^/]+/recognizers/[^/]+")
_MODELS = {"telephony", "telephony_short", "long", "short", "latest_long", "latest_short"}
_ENCODINGS = cloud_speech.ExplicitDecodingConfig.AudioEncoding
_VOICED = cloud_tts.AudioEncoding


def mistake_in_recognition(first: cloud_speech.StreamingRecognizeRequest) -> str:
    """What is wrong with a stream's first request; empty if nothing."""
    config = first.streaming_config.config
    decoding = config.explicit_decoding_config
    if first.audio or "streaming_config" not in first:
        return "Invalid request: the first message must hold the configuration, and no audio."
    if not _RECOGNIZER.fullmatch(first.recognizer):
        return "Invalid resource name for recognizer."
    if "explicit_decoding_config" not in config:
        return "Headerless audio needs an explicit decoding config."
    if decoding.encoding not in (_ENCODINGS.MULAW, _ENCODINGS.LINEAR16):
        return "Invalid audio encoding."
    if decoding.sample_rate_hertz != SAMPLE_RATE or decoding.audio_channel_count != 1:
        return "This server hears one channel of 8000 Hz."
    if config.model not in _MODELS:
        return f'The model "{config.model}" does not exist in the location.'
    if not config.language_codes:
        return "At least one language code is needed."
    if config.model == "telephony" and config.adaptation.phrase_sets:
        return "Recognizer does not support feature: speech_adaptation_boost"
    return ""


def mistake_in_synthesis(first: cloud_tts.StreamingSynthesizeRequest) -> str:
    """What is wrong with a stream's first request; empty if nothing."""
    config = first.streaming_config
    audio = config.streaming_audio_config
    if "streaming_config" not in first:
        return "The first message must hold the streaming config."
    if not config.voice.language_code:
        return "Voice selection needs a language code."
    if not re.search(r"Chirp3-HD|Journey|Chirp-HD", config.voice.name):
        return "Currently, only Chirp 3: HD voices are supported for streaming synthesis."
    if audio.audio_encoding not in (_VOICED.MULAW, _VOICED.PCM):
        return "This audio encoding is not supported for streaming synthesis."
    if audio.sample_rate_hertz != SAMPLE_RATE:
        return "This server speaks at 8000 Hz."
    if audio.speaking_rate and not 0.25 <= audio.speaking_rate <= 2.0:
        return "The speaking rate must be within [0.25, 2.0]."
    return ""
