"""The conversation as a page puts it together while the call goes on."""

from typing import Any

from tests.javascript import needs_node, run_module

pytestmark = needs_node


def talk_of(*lines: dict[str, Any] | float) -> dict[str, Any]:
    """The page's conversation; a number is an answer that began to be heard."""
    code = """
        const talk = new its.Talk();
        for (const line of told) typeof line === "number" ? talk.answered(line) : talk.add(line);
        const { entries, interruptions, falseAlarms, isHeld, median } = talk;
        return { entries, interruptions, falseAlarms, isHeld, median };
    """
    return run_module("talk.js", code, lines)


def line(kind: str, t: float = 0.0, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "t": t, **fields}


def said(text: str, context: int = 0, t: float = 1.0) -> dict[str, Any]:
    return line("said", t, context=context, text=text, words=len(text.split()))


def words(*texts: str, context: int | None = 0, t: float = 1.5) -> list[dict[str, Any]]:
    return [line("word", t, context=context, text=text, words=1) for text in texts]


def heard_and_rest(entry: dict[str, Any]) -> tuple[str, str]:
    return " ".join(entry["words"][: entry["heard"]]), " ".join(entry["words"][entry["heard"] :])


def test_words_are_heard_one_by_one():
    (entry,) = talk_of(said("Hello there, you."), *words("Hello", "there,"))["entries"]

    assert heard_and_rest(entry) == ("Hello there,", "you.")
    assert not entry["isCut"]
    assert entry["at"] == 1.5


def test_what_an_interruption_cut_off_is_told_apart():
    talk = talk_of(
        said("One two three."),
        *words("One"),
        line("bot_started"),
        line("vad_started", 2.0, after=0.2),
        line("held", 2.0, left=1.0),
        line("vad_stopped", 2.8, after=0.2),
        line("transcript", 3.0, text="wait", words=1),
        *words("two"),
        line("interrupted", 3.0),
    )

    bot, caller = talk["entries"]
    assert heard_and_rest(bot) == ("One two", "three.")
    assert (bot["isCut"], bot["isHeld"], talk["interruptions"]) == (True, False, 1)
    assert (caller["text"], caller["at"], caller["overBot"]) == ("wait", 1.8, True)


def test_turn_that_begins_behind_the_bot_cuts_nothing():
    talk = talk_of(said("Hello."), *words("Hello."), line("interrupted", 2.0))

    assert not talk["entries"][0]["isCut"]
    assert talk["interruptions"] == 0


def test_end_of_the_call_interrupts_nobody():
    code = "const talk = new its.Talk(); for (const line of told) talk.add(line); talk.end();"
    code += "return [talk.entries, talk.interruptions];"
    lines = [said("One two."), *words("One"), line("vad_started", 2.0), line("held", 2.0)]

    entries, interruptions = run_module("talk.js", code, lines)

    assert heard_and_rest(entries[0]) == ("One", "two.")
    assert (entries[0]["isCut"], entries[0]["isOver"], entries[0]["isHeld"]) == (True, True, False)
    assert not entries[1]["isSpeaking"]
    assert interruptions == 0


def test_cough_holds_the_bot_and_it_goes_on():
    begin = (said("One two."), *words("One"), line("vad_started", 2.0, after=0.2))
    held = talk_of(*begin, line("held", 2.0, left=1.0))
    resumed = talk_of(*begin, line("held", 2.0), line("vad_stopped", 2.4), line("resumed", 2.5))

    assert (held["isHeld"], held["entries"][0]["isHeld"]) == (True, True)
    assert (resumed["isHeld"], resumed["falseAlarms"]) == (False, 1)
    assert resumed["entries"][1]["isSound"]
    assert not resumed["entries"][0]["isCut"]


def test_words_that_come_late_were_no_false_alarm():
    begin = (said("One two."), *words("One"), line("vad_started", 2.0), line("held", 2.0))
    late = (line("vad_stopped", 2.4), line("resumed", 2.5), line("resumed", 2.5))
    spoken = talk_of(*begin, *late, line("transcript", 2.6, text="stop"), line("interrupted", 2.6))
    agreed = talk_of(*begin, *late, line("backchannel", 2.6, text="uh-huh"))

    assert (spoken["falseAlarms"], spoken["interruptions"]) == (0, 1)
    assert (agreed["falseAlarms"], agreed["interruptions"]) == (1, 0)


def test_answers_stand_at_the_reply_they_began():
    talk = talk_of(
        said("First.", 0),
        0.5,
        *words("First."),
        said("Second.", 1),
        *words("Second.", context=1),
        1.5,
    )

    assert [entry.get("answer") for entry in talk["entries"]] == [0.5, None]
    assert talk["median"] == 1.0


def test_model_that_speaks_itself_is_written_down_as_it_is_heard():
    (entry,) = talk_of(*words("Good", "morning.", context=7))["entries"]

    assert heard_and_rest(entry) == ("Good morning.", "")


def test_words_that_are_not_logged_are_dots():
    lines = (line("said", context=0, words=3), line("word", context=0, words=1))
    (entry,) = talk_of(*lines)["entries"]

    assert heard_and_rest(entry) == ("…", "… …")


def test_keys_functions_and_faults_are_lines_of_their_own():
    talk = talk_of(
        line("digit", digit="5"),
        line("function_started", name="book"),
        line("function_ended", name="book", failed=True),
        line("error", processor="TTS", category=None, exception="OSError"),
        line("switched", role="tts", vendor="A", successor=None),
        line("unheard_of", x=1),
    )

    assert [entry["text"] for entry in talk["entries"]] == [
        "key 5",
        "function book",
        "function book failed",
        "error of TTS: OSError",
        "tts: nobody in the place of A",
    ]
