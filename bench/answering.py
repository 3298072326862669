"""Who is taken to have answered, by whom it is: a confusion matrix, and how long it takes.

    apt-get install asterisk-core-sounds-en-wav asterisk-moh-opsound-wav
    python bench/answering.py

Two sets of callees. *Spoken*: greetings of people and machines in three synthetic voices, at three
paces, whose words are transcribed 0.4 s behind the end of each sentence, or not at all. *Recorded*:
prompts of a telephone exchange and its music on hold, which nobody transcribes. Machines that take
a message beep 0.3 s behind their greeting, each at another pitch. Beside each goes the verdict of
the simulated machine detection, by the lengths that Twilio documents. Noise of -55 dB lies under
everything. A cell counts callees by what they were taken for at last; ``first`` is the seconds from
the beginning of the stream to the first decision, the median and the slowest.
"""

import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twilio_frames.answering import AnswerDecider, AnsweredBy, MachineVerdict
from twilio_frames.audio import decode_mulaw, encode_mulaw, mulaw_of_wav, mulaw_silence
from twilio_frames.audio.tones import ToneDetector, ToneKind
from twilio_frames.local.synthesiser import Synthesiser
from twilio_frames.testing.callers.parties import beep
from twilio_frames.testing.callers.tones import tones
from twilio_frames.testing.calls.detection import DetectionRules, Detector
from twilio_frames.testing.speech import to_mulaw

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
MUSIC = Path("/usr/share/asterisk/moh")
VOICES = ("en-us", "en-us+f3", "en-us+m4")
PACES = (140, 170, 200)
BEEPS = (700, 1000, 1400, 620, 850, 440)
WORDS_SECS = 0.4
LISTENS_SECS = 12.0
NOISE_LEVEL = -55.0

WHOS = tuple(AnsweredBy)
SPOKEN: dict[AnsweredBy, tuple[tuple[str, ...], ...]] = {
    AnsweredBy.HUMAN: (
        ("Hello?",),
        ("Yes?",),
        ("Hi, this is Bob.",),
        ("Good morning, Miller and sons, this is Ann speaking, how can I help you?",),
        ("Hello?", "Hello, who is this?"),
        ("She is not here right now.", "Can I take a message?"),
    ),
    AnsweredBy.VOICEMAIL: (
        ("Hi, this is Bob.", "I can't come to the phone right now, so leave a message."),
        (
            "You have reached the voice mail of Ann Miller.",
            "Please leave a message after the tone.",
        ),
        ("Hey, it's Bob, you know what to do.",),
        (
            "Your call has been forwarded to an automatic voice message system.",
            "At the tone, please record your message.",
        ),
        ("Hello?", "Just kidding, I'm not here.", "Leave your name and number after the beep."),
        (
            "We are closed today.",
            "Please leave your name, your number and the reason for your call.",
        ),
    ),
    AnsweredBy.SCREENING: (
        (
            "Hi.",
            "If you record your name and reason for calling, I'll see if this person is available.",
        ),
        ("Please say your name and why you're calling.",),
        ("The person you are calling uses a screening service.", "Go ahead and say who you are."),
    ),
    AnsweredBy.IVR: (
        (
            "Thank you for calling Miller and sons.",
            "For sales, press one.",
            "For parts, press two.",
        ),
        ("Welcome.", "Please listen to the following options.", "To hear our hours, press three."),
        ("All of our agents are busy.", "Please stay on the line. Your call is important to us."),
    ),
    AnsweredBy.ANNOUNCEMENT: (
        ("The number you have dialed is not in service.", "Please check it and dial again."),
        ("You have reached Bob.", "The mailbox is full.", "Goodbye."),
    ),
}
RECORDED: dict[AnsweredBy, tuple[tuple[str, ...], ...]] = {
    AnsweredBy.HUMAN: (("hello",), ("hello-world",), ("vm-sorry",), ("goodbye",)),
    AnsweredBy.VOICEMAIL: (
        ("vm-theperson", "digits/4", "digits/2", "vm-isunavail", "vm-intro"),
        ("vm-theperson", "digits/7", "digits/1", "vm-isonphone", "vm-intro"),
        ("vm-intro",),
        ("vm-nobodyavail", "vm-leavemsg"),
        ("vm-rec-unv",),
    ),
    AnsweredBy.SCREENING: (("priv-recordintro",), ("privacy-unident", "privacy-prompt")),
    AnsweredBy.IVR: (("basic-pbx-ivr-main",), ("conf-usermenu",), ("dir-intro",), ("vm-opts",)),
    AnsweredBy.ANNOUNCEMENT: (
        ("cannot-complete-as-dialed", "check-number-dial-again"),
        ("ss-noservice",),
        ("number-not-answering", "please-try-call-later"),
        ("tt-allbusy",),
    ),
}


@dataclass
class Callee:
    """Who answers, what is heard of them, and what is said by when."""

    who: AnsweredBy
    mulaw: bytes
    words: tuple[tuple[str, float], ...] = ()


def noisy(mulaw: bytes) -> bytes:
    """The same on a line that is not quite silent, with a second ahead and silence behind."""
    whole = mulaw_silence(0.7) + mulaw + mulaw_silence(LISTENS_SECS)
    samples = np.frombuffer(decode_mulaw(whole), dtype=np.int16).astype(np.float64)
    noise = np.random.default_rng(len(mulaw)).standard_normal(len(samples))
    mixed = samples + noise * 32768 * 10 ** (NOISE_LEVEL / 20)
    return encode_mulaw(mixed.clip(-32768, 32767).astype(np.int16).tobytes())


def beep_behind(who: AnsweredBy, number: int) -> bytes:
    """What a machine sounds when it begins to record."""
    if who is not AnsweredBy.VOICEMAIL:
        return b""
    return mulaw_silence(0.3) + beep(0.2 + 0.1 * (number % 4), BEEPS[number % len(BEEPS)])


async def spoken() -> list[Callee]:
    """Greetings in synthetic voices."""
    callees: list[Callee] = []
    for who, greetings in SPOKEN.items():
        for greeting in greetings:
            for voice, pace in ((v, p) for v in VOICES for p in PACES):
                audio, words = b"", []
                synthesiser = Synthesiser(voice, words_per_minute=pace)
                for sentence in greeting:
                    speech = await synthesiser.speak(sentence)
                    audio += to_mulaw(speech.pcm, speech.sample_rate)
                    words.append((sentence, 0.7 + len(audio) / 8000 + WORDS_SECS))
                    audio += mulaw_silence(1.0 if sentence == "Hello?" else 0.35)
                audio += beep_behind(who, len(callees))
                callees.append(Callee(who, audio, tuple(words)))
    return callees


def recorded() -> Iterator[Callee]:
    """Prompts, and music on hold."""
    for who, greetings in RECORDED.items():
        for number, names in enumerate(greetings):
            prompts = [mulaw_of_wav((PROMPTS / f"{name}.wav").read_bytes()) for name in names]
            yield Callee(who, b"".join(prompts) + beep_behind(who, number))
    for path in sorted(MUSIC.glob("*.wav")):
        yield Callee(AnsweredBy.UNKNOWN, mulaw_of_wav(path.read_bytes())[: 30 * 8000])
    yield Callee(AnsweredBy.UNKNOWN, b"")
    yield Callee(AnsweredBy.FAX, beep(3.0, 2100))


def decide(callee: Callee, *, has_words: bool, has_verdict: bool) -> AnswerDecider:
    """Lets a decider hear somebody; its decisions are in ``first`` and ``answer``."""
    decider, detector = AnswerDecider(), Detector(DetectionRules())
    audio, waiting, now = noisy(callee.mulaw), list(callee.words if has_words else ()), 0.0
    firsts[id(decider)] = None
    for begin in range(0, len(audio), 160):
        piece = audio[begin : begin + 160]
        decider.hear(piece, now)
        now += len(piece) / 8000
        while waiting and waiting[0][1] <= now:
            decider.take_words(waiting.pop(0)[0], now)
        if has_verdict and detector.verdict is None:
            detector.write(piece, b"")
            if detector.verdict is not None:
                decider.take_verdict(MachineVerdict(detector.verdict), now)
        answer = decider.decide(now)
        if answer is not None and firsts[id(decider)] is None:
            firsts[id(decider)] = answer.after_secs
    return decider


firsts: dict[int, float | None] = {}


def matrix(title: str, callees: Sequence[Callee], *, has_words: bool, has_verdict: bool) -> None:
    """Prints how callees were taken."""
    print(f"\n{title}\n")
    print("| is \\ taken for | " + " | ".join(WHOS) + " | first, s |")
    print("| --- |" + " --- |" * (len(WHOS) + 1))
    for who in WHOS:
        took, taken = [], Counter[AnsweredBy]()
        for callee in (one for one in callees if one.who is who):
            decider = decide(callee, has_words=has_words, has_verdict=has_verdict)
            taken[decider.answer.answered_by if decider.answer else AnsweredBy.UNKNOWN] += 1
            took.append(firsts.pop(id(decider)) or 0.0)
        if took:
            cells = " | ".join(str(taken[one] or "") for one in WHOS)
            print(f"| {who} | {cells} | {statistics.median(took):.1f}, {max(took):.1f} |")


def beeps() -> None:
    """Prints what is taken for a beep."""
    print("\n| what is heard | minutes | beeps told | of |\n| --- | --- | --- | --- |")
    real = [
        mulaw_silence(0.3) + beep(seconds, pitch) + mulaw_silence(0.3)
        for pitch in range(480, 2801, 40)
        for seconds in (0.13, 0.2, 0.4, 0.8, 1.5)
        if not 1062 <= pitch <= 1138
    ]
    sounds = {
        "beeps of 480 to 2800 Hz, 0.13 to 1.5 s": real,
        "prompts": [
            mulaw_of_wav(path.read_bytes())
            for path in sorted(PROMPTS.rglob("*.wav"))
            if "silence" not in path.parts and path.stem != "beep"
        ],
        "music on hold": [mulaw_of_wav(path.read_bytes()) for path in sorted(MUSIC.glob("*.wav"))],
        "keys": [tones("0123456789*#") for _ in range(10)],
    }
    for name, audio in sounds.items():
        told = sum(
            any(tone.kind is ToneKind.BEEP for tone in ToneDetector().write(one + mulaw_silence(1)))
            for one in audio
        )
        print(f"| {name} | {sum(map(len, audio)) / 480_000:.1f} | {told} | {len(audio)} |")


def cost() -> None:
    """Prints what a second of a call costs while it is decided."""
    audio = noisy(b"")
    began = time.process_time()
    decide(Callee(AnsweredBy.UNKNOWN, audio * 4), has_words=False, has_verdict=False)
    secs = time.process_time() - began
    print(f"\nmilliseconds of CPU a second of audio: {secs * 1000 / (4 * len(audio) / 8000):.1f}")


def main() -> None:
    """Measures all."""
    if not (PROMPTS.is_dir() and MUSIC.is_dir()):
        sys.exit("apt-get install asterisk-core-sounds-en-wav asterisk-moh-opsound-wav")
    said = asyncio.run(spoken())
    matrix("Spoken, with words", said, has_words=True, has_verdict=False)
    matrix("Spoken, with words and Twilio's verdict", said, has_words=True, has_verdict=True)
    matrix("Spoken, nobody transcribes", said, has_words=False, has_verdict=False)
    matrix("Recorded, nobody transcribes", list(recorded()), has_words=False, has_verdict=False)
    beeps()
    cost()


if __name__ == "__main__":
    main()
