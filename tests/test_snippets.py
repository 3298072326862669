"""What README and pages show can be copied: code compiles, names exist, commands are taken."""

import ast
import inspect
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import snippets as shown
from tests.snippets import PAGES, ROOT, blocks, named
from twilio_frames.cli import parser
from twilio_frames.testing import Phone

_TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
# Words of a command that stand for yours.
_PLACEHOLDERS = {"URL": "ws://127.0.0.1:1/"}


@cache
def public_names() -> dict[str, Any]:
    """What is public, by its name alone."""
    found: dict[str, Any] = {}
    module = ""
    for line in (ROOT / "docs" / "public-names.txt").read_text("utf-8").splitlines():
        if line.startswith(" "):
            found |= {name: getattr(import_module(module), name) for name in line.split()}
        elif line and not line.startswith("#"):
            module = line.strip()
    return found


def test_python_can_be_copied():
    """What it names is imported on its page, or is yours and known to ``tests.snippets``."""
    known = {*shown.__annotations__}
    unknown = {one.name: {*one.given} - known for one in shown.snippets()}

    assert {name: names for name, names in unknown.items() if names} == {}


def test_keywords_of_ours_exist():
    """Also in the text: ``TwilioParams(lead_secs=0.4)`` between backticks."""
    wrong: list[str] = []
    for page in PAGES:
        text = page.read_text("utf-8")
        codes = [*blocks(page, "python")]
        for code in codes + re.findall(r"`([A-Z]\w+\([^`]*\))`", text):
            wrong += [f"{named(page)}: {one}" for one in unknown_keywords(code)]

    assert wrong == []


def unknown_keywords(code: str) -> list[str]:
    try:
        tree = ast.parse(code)
    except SyntaxError:  # "TwilioParams(lead_secs=...)" parses, a sentence in brackets may not
        return []
    return [
        f"{node.func.id}({keyword.arg}=)"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        for keyword in node.keywords
        if keyword.arg and not takes(node.func.id, keyword.arg)
    ]


def takes(name: str, keyword: str) -> bool:
    """Whether what is public by that name takes the keyword; all else takes any."""
    if not callable(thing := public_names().get(name)):
        return True
    known = inspect.signature(thing).parameters
    return keyword in known or any(one.kind is one.VAR_KEYWORD for one in known.values())


@pytest.mark.parametrize("one", [*shown.snippets()], ids=lambda one: one.name)
def test_python_runs(one: shown.Snippet, monkeypatch: pytest.MonkeyPatch):
    """As far as it takes nothing that is yours; ``.ci/run`` has all of it checked by its types."""
    for vendor in ("CARTESIA", "DEEPGRAM", "OPENAI"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "a key")
    monkeypatch.setitem(sys.modules, "my_bot", SimpleNamespace(bot=None))
    code = compile(one.imports + one.code, one.name, "exec", _TOP_LEVEL_AWAIT)
    if one.awaits:
        return
    try:
        exec(code, {"__name__": "a_snippet"})
    except NameError as error:
        if error.name not in one.given:
            raise


async def test_bot_of_the_first_page_talks(phone: Phone):
    code, *_ = blocks(ROOT / "docs" / "start.md", "python")
    written: dict[str, Any] = {"__name__": "my_bot"}
    exec(compile(code, "my_bot.py", "exec"), written)

    async with phone.text(written["bot"]) as talk:
        assert await talk.reply() == "Hello! Order something."
        assert await talk.say("A latte.") == "You said: A latte."


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each ``twilio-frames`` command that a page shows."""
    for text in blocks(page, "sh", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|[|;&]", line):
                words = shlex.split(part, comments=True)
                if "twilio-frames" in words:
                    rest = words[words.index("twilio-frames") + 1 :]
                    yield [_PLACEHOLDERS.get(word, word) for word in rest]


def test_first_page_leads_from_hearing_to_a_bot_of_ones_own():
    shown_first = [" ".join(words) for words in commands(ROOT / "docs" / "start.md")]

    assert shown_first[:3] == ["demo", "demo --phone", "init my-bot"]


@pytest.mark.parametrize("page", [page for page in PAGES if [*commands(page)]], ids=named)
def test_commands_are_taken(
    page: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    for arguments in commands(page):
        for word in arguments:
            if re.fullmatch(r"[\w-]+\.(?:yaml|jsonl|csv|wav)", word):
                (tmp_path / word).touch()
        try:
            parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"twilio-frames {shlex.join(arguments)}: {capsys.readouterr().err}")
