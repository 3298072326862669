"""What the terminal says of a call while it lasts."""

from dataclasses import dataclass, field
from io import StringIO
from typing import cast

import pytest

from twilio_frames.cli.shown.console import Console
from twilio_frames.cli.shown.transcript import Transcript
from twilio_frames.testing import Caller
from twilio_frames.testing.callers.ear import Spell


@dataclass
class Said:
    label: str
    speech_began_at: float | None


@dataclass
class FakeCaller:
    """A caller at one moment."""

    now: float = 0.0
    utterances: list[Said] = field(default_factory=list)
    bot_spells: list[Spell] = field(default_factory=list)
    hears_bot: bool = False
    is_connected: bool = True
    understood: list[tuple[float, str]] | None = None


@pytest.fixture
def output() -> StringIO:
    return StringIO()


@pytest.fixture
def transcript(output: StringIO) -> Transcript:
    return Transcript(Console(output), knows_words=True)


def show(transcript: Transcript, caller: FakeCaller) -> None:
    transcript.update(cast(Caller, caller))


def test_only_heard_words_are_written(transcript: Transcript, output: StringIO):
    caller = FakeCaller(now=1.0, bot_spells=[Spell(0.5, 1.0)], hears_bot=True)
    for word in ("Large", "or", "\N{EM DASH}"):
        transcript.bot_heard(word)
        show(transcript, caller)
    assert transcript.lines == []
    caller.hears_bot = False
    show(transcript, caller)

    words = "Large or \N{EM DASH}"
    assert transcript.lines == [{"time": 0.5, "speaker": "bot", "words": words}]
    assert words in output.getvalue()


def test_talking_over_shows_in_a_pause_of_the_bot(transcript: Transcript, output: StringIO):
    bot = Spell(0.5, 2.0)
    caller = FakeCaller(2.15, [Said("No!", 2.1)], [bot], hears_bot=True)
    show(transcript, caller)
    bot.ended_at, caller.now = 2.4, 2.75
    caller.hears_bot = False
    show(transcript, caller)

    assert "No!  (over the bot)" in output.getvalue()


def test_answer_right_behind_the_bot_is_not_over_it(transcript: Transcript, output: StringIO):
    caller = FakeCaller(2.15, [Said("Yes.", 2.1)], [Spell(0.5, 2.0)], hears_bot=True)
    show(transcript, caller)
    caller.now, caller.hears_bot = 2.45, False
    show(transcript, caller)

    assert "Yes." in output.getvalue()
    assert "over the bot" not in output.getvalue()


def test_lines_stand_in_the_order_in_which_they_began(transcript: Transcript, output: StringIO):
    bot = Spell(0.5, 2.2)
    caller = FakeCaller(2.45, [Said("No!", 2.1)], [bot], hears_bot=True)
    transcript.bot_heard("Large or small?")
    show(transcript, caller)
    caller.now, caller.hears_bot = 2.6, False
    show(transcript, caller)

    assert [line["speaker"] for line in transcript.lines] == ["bot", "caller"]
    assert transcript.lines == transcript.in_order()


def test_caller_need_not_wait_for_a_bot_that_speaks_on(transcript: Transcript):
    bot = Spell(0.5, 5.2)
    caller = FakeCaller(5.2, [Said("No!", 2.1)], [bot], hears_bot=True)
    transcript.bot_heard("Large or small,")
    show(transcript, caller)
    transcript.bot_heard("or huge?")
    caller.now, bot.ended_at, caller.is_connected = 7.0, 6.9, False
    show(transcript, caller)

    assert [line["words"] for line in transcript.lines] == ["Large or small,", "No!", "or huge?"]


def test_lines_are_in_the_order_of_their_beginning(transcript: Transcript):
    bot = Spell(0.5, 2.2)
    caller = FakeCaller(2.45, [Said("No!", 2.1)], [bot], hears_bot=True)
    transcript.bot_heard("Large?")
    show(transcript, caller)
    transcript.bot_understood("no")
    caller.now, caller.hears_bot = 2.55, False
    show(transcript, caller)

    assert [line["time"] for line in transcript.lines] == [0.5, 2.1, 2.45]
    assert [line.get("words") for line in transcript.lines] == ["Large?", "No!", None]


def test_what_was_misunderstood_is_written_behind_what_was_said(output: StringIO):
    transcript = Transcript(Console(output))
    caller = FakeCaller(now=9.0, utterances=[Said("Two, please.", 1.0), Said("Bye.", 5.0)])
    caller.understood = [(2.0, "2 please"), (6.0, "buy")]
    show(transcript, caller)
    show(transcript, caller)

    told = [line[10:].strip() for line in output.getvalue().splitlines()]
    assert told == ["caller  Two, please.", "caller  Bye.", "understood: buy"]


@pytest.mark.parametrize("knows_words", [True, False])
def test_bot_that_speaks_on_keeps_nobody_waiting(output: StringIO, knows_words: bool):
    transcript = Transcript(Console(output), knows_words=knows_words)
    bot = Spell(0.5, 2.0)
    caller = FakeCaller(2.0, [Said("Mhm.", 1.5)], [bot], hears_bot=True)
    transcript.bot_heard("First")
    show(transcript, caller)
    assert output.getvalue() == ""

    caller.now = bot.ended_at = 4.0
    show(transcript, caller)
    assert "Mhm.  (over the bot)" in output.getvalue()
    transcript.bot_heard("then")
    caller.now, caller.hears_bot, bot.ended_at = 7.0, False, 6.0
    show(transcript, caller)

    first, _, then = output.getvalue().splitlines()
    assert first == f"   0.5 s  bot     {'First' if knows_words else 'speaks for 3.5 s'}"
    assert then == f"   4.0 s  bot     {'then' if knows_words else 'speaks on for 2.0 s'}"


def test_end_of_a_call_leaves_nothing_unwritten(transcript: Transcript, output: StringIO):
    said = [Said("Never heard", None), Said("Bye.", 1.9)]
    caller = FakeCaller(2.0, said, [Spell(0.5, 1.95)], hears_bot=True, is_connected=False)
    transcript.bot_heard("Bye")
    transcript.bot_understood("bye")
    show(transcript, caller)

    assert [line.get("words", "-") for line in transcript.lines] == ["-", "Bye", "Bye."]


def test_understanding_has_a_time(transcript: Transcript):
    caller = FakeCaller(now=3.5)
    show(transcript, caller)
    transcript.bot_understood("a tea")
    show(transcript, caller)

    assert transcript.lines == [{"time": 3.5, "speaker": "bot", "understood": "a tea"}]


def test_turns_get_the_words_heard_in_them(transcript: Transcript):
    transcript.lines += [
        {"time": 0.5, "speaker": "bot", "words": "Hello."},
        {"time": 1.4, "speaker": "bot", "words": "What will it be?"},
        {"time": 3.0, "speaker": "caller", "words": "Tea."},
        {"time": 3.6, "speaker": "bot", "understood": "tea"},
    ]
    turns: list[dict[str, object]] = [
        {"speaker": "bot", "began_at": 0.5, "ended_at": 2.4, "words": ""},
        {"speaker": "caller", "began_at": 3.0, "ended_at": 3.5, "words": "Tea."},
    ]

    bots, callers = transcript.with_words(turns)
    assert bots["words"] == "Hello. What will it be?"
    assert callers == turns[1]
