"""YAML scripts: what they become, and what is said of mistakes in them."""

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.errors import ConfigurationError
from twilio_frames.testing import LineConditions, read_scripts
from twilio_frames.testing.scripts.script import Event, Expectation, SendAfter
from twilio_frames.testing.speech import Speech


@pytest.fixture
def write(tmp_path: Path):
    def write_one(text: str, name: str = "shop.yaml") -> Path:
        path = tmp_path / name
        path.write_text(dedent(text))
        return path

    return write_one


FULL = """\
    name: shop
    from: "+12125550111"
    noise_db: -60
    limits:
      answer_ms: 1500
      warnings: any
      end: bot hung up
      flow: [ringing, answered, ended]
    scenarios:
      - name: order
        line: {delay_ms: 50, jitter_ms: 10, echo_db: -20}
        parameters: {table: 7}
        turns:
          - expect:
              - event: response
                text_contains: What can I get you
          - user:
              - I would like
              - pause_ms: 700
              - a latte
            send_after: {event: bot_started_speaking, delay_ms: 400}
            expect:
              - event: bot_interrupted
                within_ms: 300
              - {event: response, absent: true, within_ms: 500}
          - dtmf: 012
          - dtmf: "1#w*"
          - say: Goodbye for
            hang_up: {delay_ms: 250}
            expect:
              - event: call_ended
                reason: caller hung up
                check_from: turn_start
      - name: silent
        noise_db: -40
        stop_on_failure: false
        turns:
          - wait_ms: 1500
          - hang_up: true
"""


SHARDS = (
    *("name: 5", "turns:", "  - user: hello", "  - dtmf: 0x1f", "    expect:", "<<: *x", "{{{{"),
    *("      - event: response", "        within_ms: 1e999", "? [a, b]", "&x a: &x b"),
    *("scenarios: &s [*s]", "name: 2001-02-30", "--- !!int x", "limits: {gap_ms: .inf}"),
    "turns: [!include any.yaml]",
)  # fmt: skip


def test_line_may_be_bad_in_every_way(write):
    (script,) = read_scripts(
        write(
            """
name: bad
line:
  stalls_a_minute: 6
  stall_ms: 300
  lost_at_ms: 9000
  half_open_at_ms: 8000
  reading_rate: 12000
  comfort_noise_db: -65
  a_law: true
turns: [{wait_ms: 100}]
"""
        )
    )

    assert script.line == LineConditions(
        stalls_a_minute=6, stall_secs=0.3, lost_at=9.0, half_open_at=8.0, reading_rate=12000,
        comfort_noise=-65, is_over_a_law=True,
    )  # fmt: skip


def test_scenarios_become_scripts(write):
    order, silent = read_scripts(write(FULL))

    assert (order.name, silent.name) == ("shop/order", "shop/silent")
    assert order.line == LineConditions(
        delay_to_bot=0.05, delay_from_bot=0.05, jitter_to_bot=0.01, jitter_from_bot=0.01,
        echo_level=-20,
    )  # fmt: skip
    assert order.parameters == {"table": "7"}
    assert (order.noise_level, silent.noise_level) == (-60, -40)
    assert order.from_number == silent.from_number == "+12125550111"
    assert (order.stop_on_failure, silent.stop_on_failure) == (True, False)
    limits = order.limits
    assert (limits.answer, limits.warnings, limits.errors) == (1.5, None, 0)
    assert (limits.end, limits.flow) == ("bot hung up", ("ringing", "answered", "ended"))


def test_turns_keep_their_words(write):
    path = write(FULL)
    greeting, order, digits, keys, goodbye = read_scripts(path)[0].turns
    wait, hang_up = read_scripts(path)[1].turns

    said: tuple[Speech | float, ...] = ("I would like", 0.7, "a latte")
    assert order.say == said
    assert order.send_after == SendAfter(event=Event.BOT_STARTED_SPEAKING, delay=0.4)
    assert (digits.dtmf, keys.dtmf) == ("012", "1#w*")
    assert goodbye.hang_up_after == 0.25
    assert (wait.wait, hang_up.hang_up_after) == (1.5, float("inf"))
    assert greeting.expect == (
        Expectation(event=Event.RESPONSE, text_contains="What can I get you", where=f"{path}:15"),
    )
    assert [str(each) for each in order.expect] == [
        "bot_interrupted within 300 ms",
        "no response for 500 ms",
    ]
    assert goodbye.expect[0].from_turn_start


def test_one_scenario_needs_no_list(write):
    (script,) = read_scripts(write("turns: [{user: Hello}]"))

    assert (script.name, script.turns[0].say) == ("shop", ("Hello",))


def test_pipecats_blocks_are_named_unused(write):
    (script,) = read_scripts(
        write("""\
            name: shop
            user: {modality: audio, speech: {service: kokoro, voice: af_heart}}
            judge: {modality: text}
            scenarios: [{name: one, turns: [{user: Hello}]}]
        """)
    )

    assert script.unused == ("judge", "user")


def test_includes_start_from_their_file(write, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "limits.yaml").write_text("gap_ms: 60\nwarnings: 2\n")
    (script,) = read_scripts(write("limits: !include parts/limits.yaml\nturns: [{user: Hello}]"))

    assert (script.limits.gap, script.limits.warnings) == (0.06, 2)
    assert script.limits.where == f"{tmp_path}/parts/limits.yaml:1"


def test_audio_starts_from_the_file(write, tmp_path):
    (tmp_path / "hello.wav").write_bytes(b"")
    (script,) = read_scripts(write("turns: [{user: Hello, audio: hello.wav}]"))

    assert script.turns[0].say == (tmp_path / "hello.wav",)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("turns:\n  - user: [a", 2, "expected YAML"),
        ("turns:\n  - usr: Hello", 2, "got `usr`"),
        ("turn: []", 1, "got `turn`"),
        ("name: x", 1, "expected a scenario with `turns`"),
        ("turns:\n  - user: Hello\n    dtmf: 1", 2, "either words or keys"),
        ("turns:\n  - user: Hello\n    say: Hello", 3, "either `user` or `say`"),
        ("turns:\n  - dtmf: 1x", 2, "expected the keys 0-9"),
        ("turns:\n  - wait_ms: -1", 2, "expected milliseconds for `wait_ms`, got -1"),
        ("turns:\n  - wait_ms: soon", 2, "got 'soon'"),
        ("turns:\n  - audio: no.wav", 2, "got none called no.wav"),
        ("turns:\n  - {}", 2, "a turn that does or expects something"),
        ("turns:\n  - user:\n      - pause_ms: 5", 3, "expected some text for `user`"),
        ("turns:\n  - send_after: {delay_ms: 5}\n    expect: []", 2, "something that is sent"),
        ("turns:\n  - user: x\n    send_after: {}", 3, "an `event` or a `delay_ms`"),
        ("turns:\n  - user: x\n    send_after: {event: llm_started}", 3, "got 'llm_started'"),
        ("turns:\n  - expect:\n    - event: function_call", 3, "got 'function_call'"),
        ("turns:\n  - expect:\n    - within_ms: 5", 3, "expected an `event`"),
        ("turns:\n  - expect:\n    - {event: response, eval: nice}", 3, "got `eval`"),
        ("turns:\n  - expect:\n    - {event: warning, reason: bot hung up}", 3, "only of call"),
        ("turns:\n  - expect:\n    - {event: call_ended, reason: bored}", 3, "got 'bored'"),
        ("turns:\n  - expect:\n    - {event: response, absent: 1}", 3, "got 1"),
        ("turns:\n  - user: a\n    user: b", 3, "expected each key once"),
        ("limits: {speed: 1}\nturns: [{user: a}]", 1, "got `speed`"),
        ("limits:\n  warnings: few\nturns: [{user: a}]", 2, "a whole number for `warnings`"),
        ("noise_db: 3\nturns: [{user: a}]", 1, "decibels of full scale"),
        ("persona: Jamie\nturns: []", 1, "a language model plays"),
        ("scenarios: []", 1, "at least one scenario"),
        ("turns: !!python/object/apply:os.system [ls]", 1, "keys with values for `turns`"),
        ("voice: !!python/name:os.system ''\nturns: [{user: a}]", 1, "got the tag"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(write, text, line, problem):
    path = write(text)

    with pytest.raises(ConfigurationError) as told:
        read_scripts(path)

    assert problem in str(told.value)
    assert f"{path}:{line}" in str(told.value)


@given(st.lists(st.one_of(st.text(max_size=20), st.sampled_from(SHARDS)), max_size=6))
def test_no_text_breaks_the_reader(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("script") / "any.yaml"
    path.write_text("\n".join(lines), "utf-8", "replace")

    try:
        scripts = read_scripts(path)
    except ConfigurationError:
        return
    assert all(script.turns is not None for script in scripts)


def test_files_that_include_themselves_are_refused(write):
    with pytest.raises(ConfigurationError, match="includes itself"):
        read_scripts(write("turns: !include shop.yaml"))


def test_scenarios_of_one_name_are_refused(write):
    text = "scenarios: [{name: a, turns: [{user: x}]}, {name: a, turns: [{user: x}]}]"

    with pytest.raises(ConfigurationError, match="'shop/a' twice"):
        read_scripts(write(text))


def test_missing_file_is_explained(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        read_scripts(tmp_path / "none.yaml")
