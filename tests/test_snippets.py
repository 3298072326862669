"""What README and pages show can be copied: code compiles, names exist, commands are taken."""

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from twilio_frames.cli import parser
from twilio_frames.testing import Phone

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"(<!-- runs -->\n)?^( *)```(\w+)[^\n]*\n(.*?)^ *```$", re.M | re.S)
_TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
# Words of a command that stand for yours.
_PLACEHOLDERS = {"URL": "ws://127.0.0.1:1/"}


def blocks(page: Path, *kinds: str) -> Iterator[tuple[str, bool]]:
    for is_run, indent, kind, text in _BLOCK.findall(page.read_text("utf-8")):
        if kind in kinds:
            yield re.sub(rf"^{indent}", "", text, flags=re.M), bool(is_run)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


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


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_compiles(page: Path):
    for code, _ in blocks(page, "python"):
        compile(code, named(page), "exec", _TOP_LEVEL_AWAIT)


def test_imports_of_ours_exist():
    missing: list[str] = []
    for page in PAGES:
        for code, _ in blocks(page, "python"):
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom):
                    missing += [f"{named(page)}: {one}" for one in missing_names(node)]

    assert missing == []


def missing_names(node: ast.ImportFrom) -> list[str]:
    if node.module is None or not node.module.startswith("twilio_frames"):
        return []
    room = import_module(node.module)
    return [one.name for one in node.names if not hasattr(room, one.name)]


def test_keywords_of_ours_exist():
    """Also in the text: ``TwilioParams(lead_secs=0.4)`` between backticks."""
    wrong: list[str] = []
    for page in PAGES:
        text = page.read_text("utf-8")
        codes = [code for code, _ in blocks(page, "python")]
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


def run_blocks() -> list[Any]:
    return [
        pytest.param(code, id=f"{named(page)}-{number}")
        for page in PAGES
        for number, (code, is_run) in enumerate(blocks(page, "python"))
        if is_run
    ]


@pytest.mark.parametrize("code", run_blocks())
def test_marked_code_runs(code: str):
    exec(compile(code, "a snippet", "exec"), {"__name__": "a_snippet"})


async def test_bot_of_the_first_page_talks(phone: Phone):
    (code,) = [code for code, is_run in blocks(ROOT / "docs" / "start.md", "python") if is_run]
    shown: dict[str, Any] = {"__name__": "my_bot"}
    exec(compile(code, "my_bot.py", "exec"), shown)

    async with phone.text(shown["bot"]) as talk:
        assert await talk.reply() == "Hello! Order something."
        assert await talk.say("A latte.") == "You said: A latte."


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each ``twilio-frames`` command that a page shows."""
    for text, _ in blocks(page, "sh", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|[|;&]", line):
                words = shlex.split(part, comments=True)
                if "twilio-frames" in words:
                    rest = words[words.index("twilio-frames") + 1 :]
                    yield [_PLACEHOLDERS.get(word, word) for word in rest]


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
