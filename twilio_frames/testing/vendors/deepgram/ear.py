"""From audio to Deepgram's messages: where speech begins and ends, what is final and what is not.

Pure: audio goes in, messages come out. Time is the audio's own, so the same audio gives the same
messages however it is cut into pieces and however fast it comes.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.testing.callers.hearing import HeardWord
from twilio_frames.testing.vendors.deepgram.query import ListenQuery
from twilio_frames.testing.vendors.sound_steps import SoundSteps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """When Deepgram says something, in seconds of audio.

    Parameters:
        interim: Between two results that are not final.
        silent: Between two empty ones, while nobody speaks.
        longest_segment: After which what was said is final, though it goes on.
        per_word: How long a word of a script takes that is not over.
        script_pause: Silence behind which the next text of a script is said.
    """

    interim: float = 0.5
    silent: float = 1.0
    longest_segment: float = 4.0
    per_word: float = 0.3
    script_pause: float = 0.5


_PACE = _Pace()


Hears = Sequence[str] | Callable[[bytes], str | Sequence[HeardWord]]
"""What is heard: the utterances one after the other, or a function of mu-law audio."""

Message = dict[str, Any]


class Understanding:
    """Tells which words are in some audio.

    Args:
        hears: The utterances one after the other; or a function that is given mu-law audio, again
            and again while more of it comes, and tells its words.
    """

    def __init__(self, hears: Hears):
        self._hear = hears if callable(hears) else None
        self._texts = [] if callable(hears) else list(hears)

    @property
    def is_script(self) -> bool:
        """Whether it knows what is said without listening."""
        return self._hear is None

    def words(
        self, mulaw: bytes, speech: tuple[float, float], *, is_whole: bool
    ) -> list[HeardWord]:
        """The words in some audio.

        Args:
            mulaw: The audio.
            speech: Seconds from its begin to where sound begins in it, and to where it ends.
            is_whole: Whether the utterance has ended.
        """
        found = self._hear(mulaw) if self._hear else "".join(self._texts[:1])
        if not isinstance(found, str):
            return list(found)
        began, ended = speech
        words = found.split()
        each = max(ended - began, 0.0) / max(len(words), 1) if is_whole else _PACE.per_word
        said = [
            HeardWord(text=word, began_at=began + n * each, ended_at=began + (n + 1) * each)
            for n, word in enumerate(words)
        ]
        return said if is_whole else [word for word in said if word.ended_at <= ended]

    def turn_page(self) -> None:
        """The utterance has been told; the next one follows."""
        del self._texts[:1]


class DeepgramEar(SoundSteps[Message]):
    """Listens to one stream.

    Args:
        query: What was asked for.
        understanding: Tells the words.
    """

    def __init__(self, query: ListenQuery, understanding: Understanding):
        super().__init__()
        self._query = query
        self._understanding = understanding
        self._final = 0
        self._told = 0
        self._last_word: float | None = None
        self.request_id = str(uuid.uuid4())
        """Deepgram's name of the stream."""

    def finalize(self) -> Iterator[Message]:
        """Tells all that is left (https://developers.deepgram.com/docs/finalize)."""
        self._heard = len(self._audio)
        yield self._result(is_final=True, from_finalize=True)

    def metadata(self) -> Message:
        """The summary at the end of a stream."""
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self.request_id,
            "sha256": "0" * 64,
            "created": "2026-01-01T00:00:00.000Z",
            "duration": self.seconds,
            "channels": self._query.channels,
        }

    def _step(self, *, begins: bool) -> Iterator[Message]:
        if begins:
            yield from self._speech_started()
        untold = (self._heard - self._told) / SAMPLE_RATE
        if self._began is not None:
            if self._silence >= self._pause:
                yield self._result(is_final=True, speech_final=True)
            elif (self._heard - self._final) / SAMPLE_RATE >= _PACE.longest_segment:
                yield from self._segment()
            elif self._query.interim_results and untold >= _PACE.interim:
                yield self._result()
        elif untold >= _PACE.silent:
            yield self._result(is_final=not self._query.interim_results)
        yield from self._utterance_end()

    @property
    def _pause(self) -> float:
        if self._query.endpointing is None:
            return float("inf")
        is_script = self._understanding.is_script
        return max(self._query.endpointing, _PACE.script_pause if is_script else 0.02)

    def _speech_started(self) -> Iterator[Message]:
        self._began = max(self._began or 0, self._final)
        if self._query.vad_events:
            at = self._began / SAMPLE_RATE
            yield {"type": "SpeechStarted", "channel": [0], "timestamp": at}

    def _segment(self) -> Iterator[Message]:
        """Makes final what is whole of somebody who speaks on and on."""
        if self._understanding.is_script:
            if self._query.interim_results and self._heard - self._told >= SAMPLE_RATE:
                yield self._result()
            return
        words = self._words(self._heard, is_whole=False)
        if words:
            end = self._final + round(words[-1].ended_at * SAMPLE_RATE)
            yield self._result(is_final=True, end=end)

    def _utterance_end(self) -> Iterator[Message]:
        length = self._query.utterance_end
        if length is None or self._last_word is None or self._began is not None:
            return
        if self._silence >= length:
            yield {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": self._last_word}
            self._last_word = None

    def _words(self, end: int, *, is_whole: bool) -> list[HeardWord]:
        if self._began is None:
            return []
        speech = (
            (self._began - self._final) / SAMPLE_RATE,
            (self._ended - self._final) / SAMPLE_RATE,
        )
        audio = bytes(self._audio[self._final : end])
        return self._understanding.words(audio, speech, is_whole=is_whole)

    def _result(
        self,
        *,
        is_final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
        end: int | None = None,
    ) -> Message:
        goes_on = end is not None
        end = self._heard if end is None else end
        words = self._words(end, is_whole=is_final and not goes_on)
        begin = self._final
        self._told = end
        if is_final:
            self._final = end
            if words:
                self._last_word = begin / SAMPLE_RATE + words[-1].ended_at
                self._understanding.turn_page()
            if goes_on:
                self._began = end
            else:
                self._end_speech()
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "start": begin / SAMPLE_RATE,
            "duration": (end - begin) / SAMPLE_RATE,
            "is_final": is_final,
            "speech_final": speech_final,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [self._alternative(words, begin / SAMPLE_RATE)]},
            "metadata": self._model_metadata(),
        }

    def _alternative(self, words: Sequence[HeardWord], begin: float) -> Message:
        written = [word.text if self._query.is_formatted else _bare(word.text) for word in words]
        return {
            "transcript": " ".join(written),
            "confidence": 0.99 if words else 0.0,
            "words": [
                {
                    "word": _bare(word.text),
                    "start": round(begin + word.began_at, 4),
                    "end": round(begin + word.ended_at, 4),
                    "confidence": 0.99,
                    "punctuated_word": text,
                }
                for word, text in zip(words, written, strict=True)
            ],
        }

    def _model_metadata(self) -> Message:
        return {
            "request_id": self.request_id,
            "model_info": {"name": self._query.model, "version": "2026-01-01.0", "arch": "nova-3"},
            "model_uuid": str(uuid.UUID(int=0)),
        }


def _bare(word: str) -> str:
    return re.sub(r"[^\w']", "", word).lower()
