"""The README shows what the repository holds."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
MARK = "# README: from here\n"


def test_readme_shows_the_example_bot():
    shown = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    _, _, bot = (ROOT / "examples" / "bot.py").read_text("utf-8").partition(MARK)

    assert shown == bot
    assert shown.count("\n") <= 25


def test_named_files_exist():
    named = set(re.findall(r"`((?:bench|fuzz|examples|processors)/[\w/]+\.py)", README))

    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_commands_are_the_ones_that_are_run():
    ci = (ROOT / ".ci" / "run").read_text("utf-8")

    assert 'pip install ".[test]" && pytest' in README
    assert 'pip install ".[test]" && pytest' in ci
    assert 'pip install ".[local]" && twilio-frames demo' in README
    assert 'pip install ".[local]" && twilio-frames demo' in ci


def test_facts_are_counted_right():
    (told,) = re.findall(r"(\d+) facts of Twilio's documentation", README)
    conformance = (ROOT / "docs" / "conformance.md").read_text("utf-8")

    assert f"{told} facts" in conformance


def test_named_documents_exist():
    named = set(re.findall(r"\]\((docs/[\w./-]+)\)", README))

    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
