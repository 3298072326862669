"""The espeak-ng library of the ``espeakng-loader`` wheel, in this process, without its command.

The library keeps one state per process and is not thread-safe: make one :class:`Espeak` and use it
from one thread (``synthesiser.py`` does). Declarations follow espeak-ng's public header
(https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h).
"""

import _ctypes
import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twilio_frames.errors import ConfigurationError, SynthesisError, brought_by
from twilio_frames.errors.settings import check_settings


class _Header:
    """The header's names, without their ``espeak``."""

    AUDIO_OUTPUT_SYNCHRONOUS = 2
    INITIALIZE_DONT_EXIT = 0x8000
    CHARS_UTF8 = 1
    ENDPAUSE = 0x1000
    POS_CHARACTER = 1
    EVENT_LIST_TERMINATED = 0
    EVENT_WORD = 1
    RATE = 1
    PITCH = 3
    RANGE = 4


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("string", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How espeak-ng is to speak.

    Args:
        name: A language, and after a plus sign a variant if one is wanted: ``en-us+f2``.
        words_per_minute: Speed, 80 to 450.
        pitch: 0 to 100; 50 is the voice's own.
        pitch_range: 0 (monotone) to 100; 50 is the voice's own.

    Raises:
        ConfigurationError: If a number is out of its range.
    """

    name: str
    words_per_minute: int = 160
    pitch: int = 50
    pitch_range: int = 50

    def __post_init__(self) -> None:
        check_settings(
            self,
            at_least={"words_per_minute": 80},
            at_most={"words_per_minute": 450, "pitch": 100, "pitch_range": 100},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where in the text, and when in the audio, a word begins.

    Args:
        character: Index into the text.
        sample: Index into the samples.
    """

    character: int
    sample: int


class Espeak:
    """The loaded library.

    Args:
        is_alone: Whether it shares no state with the same library where that is loaded already;
            :meth:`close` it then. Where a copy of it cannot be loaded, it does share.

    Raises:
        MissingExtraError: If the wheel is not installed.
        SynthesisError: If the library does not start.
    """

    def __init__(self, *, is_alone: bool = False) -> None:
        library_path, self._data_path = library_files()
        self._library = (_copy if is_alone else _declared)(library_path)
        self.sample_rate = self._library.espeak_Initialize(
            _Header.AUDIO_OUTPUT_SYNCHRONOUS,
            200,  # milliseconds of sound between two calls back
            os.fsencode(self._data_path),
            _Header.INITIALIZE_DONT_EXIT,
        )
        if self.sample_rate <= 0:
            # espeak-ng keeps its data path in a buffer of 160 characters.
            raise SynthesisError(
                f"expected espeak-ng to start with its data at {str(self._data_path)!r} "
                f"({len(str(self._data_path))} characters), got error {self.sample_rate}: "
                "reinstall espeakng-loader, in a folder with a shorter path if this is over 150"
            )
        # espeak-ng begins with the time of day.
        self._library.espeak_ng_SetRandSeed(1)
        self._pcm = bytearray()
        self._marks: list[Mark] = []
        # The library holds no reference to it.
        self._callback = _Callback(self._receive)

    def close(self) -> None:
        """Unloads the library, and with it what the texts left in it."""
        self._library.espeak_Terminate()
        # `ctypes` has no public way.
        unload = "dlclose" if os.name == "posix" else "FreeLibrary"
        getattr(_ctypes, unload)(self._library._handle)

    def synthesise(self, text: str, voice: Voice) -> tuple[bytes, list[Mark]]:
        """Speaks plain text.

        Args:
            text: No character of it is a command to espeak-ng; see ``speakable``.
            voice: Set anew for each text, so that no speaker leaks into another.

        Returns:
            Signed 16-bit native-endian mono samples at ``sample_rate``, and where words begin.

        Raises:
            ConfigurationError: If the wheel has no such voice.
            SynthesisError: If the library reports an error.
        """
        self._choose(voice)
        self._pcm.clear()
        self._marks.clear()
        self._library.espeak_SetSynthCallback(self._callback)
        encoded = text.encode() + b"\0"
        # Without its pause at the end espeak-ng cuts the last sound short.
        flags = _Header.CHARS_UTF8 | _Header.ENDPAUSE
        code = self._library.espeak_Synth(
            encoded, len(encoded), 0, _Header.POS_CHARACTER, 0, flags, None, None
        )
        if code:
            raise SynthesisError(
                f"expected espeak-ng to speak {len(text)} characters, got its error {code}: "
                "shorten the text"
            )
        return bytes(self._pcm), list(self._marks)

    def _choose(self, voice: Voice) -> None:
        _, _, variant = voice.name.partition("+")
        # espeak-ng takes a variant it does not know for none.
        known = not variant or (self._data_path / "voices" / "!v" / variant).is_file()
        if not known or self._library.espeak_SetVoiceByName(voice.name.encode()):
            raise ConfigurationError(
                f"expected a voice of espeak-ng, got {voice.name!r}: "
                "name a language and, after a plus sign, a variant, as in 'en-us+f2'"
            )
        # Choosing a voice resets these.
        self._library.espeak_SetParameter(_Header.RATE, voice.words_per_minute, 0)
        self._library.espeak_SetParameter(_Header.PITCH, voice.pitch, 0)
        self._library.espeak_SetParameter(_Header.RANGE, voice.pitch_range, 0)

    def _receive(self, samples: int | None, count: int, events: Iterable[_Event]) -> int:
        if samples and count > 0:
            self._pcm += ctypes.string_at(samples, 2 * count)
        for event in events:
            if event.type == _Header.EVENT_LIST_TERMINATED:
                break
            if event.type == _Header.EVENT_WORD:
                self._marks.append(Mark(character=event.text_position - 1, sample=event.sample))
        return 0


def library_files() -> tuple[Path, Path]:
    """Where the wheel keeps the library and its data.

    Raises:
        MissingExtraError: If the wheel is not installed.
    """
    with brought_by("local"):
        import espeakng_loader
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


def _copy(path: Path) -> ctypes.CDLL:
    if os.name != "posix":
        # A file that is open elsewhere cannot be loaded there.
        return _declared(path)
    with tempfile.NamedTemporaryFile(suffix=path.suffix) as copy:
        shutil.copyfile(path, copy.name)
        try:
            return _declared(Path(copy.name))
        except SynthesisError:
            # From some systems' temporary folder nothing is loaded.
            return _declared(path)


def _declared(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise SynthesisError(
            f"expected the library of espeakng-loader to load, got {error}: "
            "install what it names, or a wheel for this system"
        ) from error
    integer, pointer = ctypes.c_int, ctypes.c_void_p
    library.espeak_Initialize.argtypes = [integer, integer, ctypes.c_char_p, integer]
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    library.espeak_SetSynthCallback.argtypes = [_Callback]
    library.espeak_SetSynthCallback.restype = None
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetParameter.argtypes = [integer, integer, integer]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        integer,
        ctypes.c_uint,
        ctypes.c_uint,
        pointer,
        pointer,
    ]
    return library
