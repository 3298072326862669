"""What people say to show that they listen, without wanting to speak."""

import functools
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["Backchannels"]

BACKCHANNELS: dict[str, tuple[str, ...]] = {
    "de": (
        *("mhm", "mm", "hm", "hmhm", "aha", "ah", "ah ja", "oh", "äh", "ähm", "ach so", "achso"),
        *("ja", "jaja", "jo", "jep", "genau", "gut", "sehr gut", "na gut", "okay", "ok", "klar"),
        *("alles klar", "stimmt", "richtig", "verstehe", "ich verstehe", "verstanden", "eben"),
        *("in ordnung", "natürlich", "sicher", "super", "schön", "prima", "passt"),
    ),
    "en": (
        *("mhm", "mm", "mm hmm", "hm", "uh huh", "uhhuh", "aha", "ah", "oh", "uh", "um", "er"),
        *("okay", "ok", "right", "yeah", "yep", "yup", "yes", "sure", "alright", "all right"),
        *("i see", "got it", "gotcha", "i got it", "understood", "i understand", "makes sense"),
        *("good", "great", "fine", "cool", "nice", "perfect", "wow", "exactly", "true"),
        *("of course", "that's right", "sounds good"),
    ),
    "es": (
        *("ajá", "aja", "mm", "mhm", "ah", "oh", "eh", "sí", "si", "ya", "vale", "claro", "bueno"),
        *("bien", "muy bien", "de acuerdo", "exacto", "entiendo", "entendido", "ok", "okay"),
        *("eso", "eso es", "perfecto", "correcto", "por supuesto", "ya veo"),
    ),
    "fr": (
        *("mm", "mhm", "hum", "ah", "oh", "euh", "ah bon", "oui", "ouais", "d'accord", "ok"),
        *("okay", "bien", "très bien", "bon", "je vois", "exactement", "bien sûr", "voilà"),
        *("entendu", "compris", "je comprends", "parfait", "c'est ça", "tout à fait"),
    ),
    "it": (
        *("mm", "mhm", "ah", "oh", "eh", "sì", "si", "già", "ok", "okay", "va bene", "certo"),
        *("esatto", "bene", "capisco", "ho capito", "capito", "giusto", "perfetto", "d'accordo"),
    ),
    "nl": (
        *("mm", "mhm", "hm", "aha", "ah", "oh", "eh", "ja", "jaja", "ja hoor", "oké", "oke", "ok"),
        *("precies", "goed", "klopt", "duidelijk", "prima", "juist", "ik snap het", "begrepen"),
    ),
    "pt": (
        *("uhum", "aham", "mm", "mhm", "ah", "oh", "sim", "é", "ok", "okay", "tá", "tá bom"),
        *("está bem", "está bom", "certo", "claro", "pois", "pois é", "entendi", "isso"),
        *("perfeito", "exato", "correto", "com certeza"),
    ),
}
"""Phrases by language, as an ISO 639-1 code."""

HESITATIONS = ("uh", "um", "er", "erm", "hm", "mm", "mhm", "ah", "eh", "äh", "ähm", "euh", "hum")
"""Sounds of a caller who waits or thinks, as recognisers write them down in any language."""

_WORD = re.compile(r"[\w']+")
_DRAWN_OUT = re.compile(r"(.)\1+")


class Backchannels:
    """Knows speech that only shows that somebody listens.

    Args:
        phrases: What people say so. Case, punctuation and drawn-out letters make no difference.
    """

    def __init__(self, phrases: Iterable[str]):
        self._phrases = {words for phrase in phrases if (words := _words(phrase))}
        self._longest = max((len(words) for words in self._phrases), default=0)

    @classmethod
    @functools.cache
    def of(cls, *languages: str) -> "Backchannels":
        """Those of some languages; the same for all who ask.

        Args:
            *languages: Keys of ``BACKCHANNELS``.

        Raises:
            KeyError: If a language is not among them.
        """
        return cls(phrase for language in languages for phrase in BACKCHANNELS[language])

    def cover(self, text: str) -> bool:
        """Whether a text consists of such phrases alone, one or several."""
        words = _words(text)
        # reached[n]: the first n words can be cut up into phrases.
        reached = [True] + [False] * len(words)
        for end in range(1, len(words) + 1):
            begins = range(max(0, end - self._longest), end)
            reached[end] = any(reached[b] and words[b:end] in self._phrases for b in begins)
        return bool(words) and reached[-1]


def _words(text: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFC", text.replace("\u2019", "'")).casefold()
    return tuple(_DRAWN_OUT.sub(r"\1", word) for word in _WORD.findall(plain))
