"""The README shows what the repository holds."""

import html
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
MARK = "# README: from here\n"


def test_readme_shows_the_example_bot():
    shown = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    _, _, bot = (ROOT / "examples" / "bot.py").read_text("utf-8").partition(MARK)

    assert shown == bot
    assert shown.count("\n") <= 25


def test_readme_shows_the_application_of_ones_own():
    shown = README.partition("## Use it in your own application")[2]
    example = (ROOT / "examples" / "own_application.py").read_text("utf-8").partition(MARK)[2]

    assert re.findall(r"```python\n(.*?)```", shown, re.DOTALL)[0] == example


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


def test_extras_are_the_ones_there_are():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = README.partition("### Extras")[2].partition("\n## ")[0]

    assert set(re.findall(r"`(\w+)`", told)) == {*project["optional-dependencies"]} - {"lint"}


def test_badges_are_true():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    version = "Programming Language :: Python :: "
    named = [one.removeprefix(version) for one in project["classifiers"] if version in one]
    (pipecat,) = [one for one in project["dependencies"] if one.startswith("pipecat-ai")]
    expected = {
        "licence": project["license"],
        "Python": " | ".join(one for one in named if "." in one),
        "Pipecat": pipecat.removeprefix("pipecat-ai"),
        "types": "py.typed",
    }
    badges = (ROOT / "docs" / "pictures" / "badges.svg").read_text("utf-8")
    texts = [html.unescape(one) for one in re.findall(r"<text [^>]*>([^<]*)<", badges)]

    assert dict(zip(texts[::2], texts[1::2], strict=True)) == expected
    told = "; ".join(f"{name}: {value}" for name, value in expected.items())
    assert f"![{told}](docs/pictures/badges.svg)" in README
    assert f"<title>{html.escape(told)}</title>" in badges
    assert (ROOT / "twilio_frames" / "py.typed").is_file()


def test_only_the_readme_says_how_to_install_extras():
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.py")]
    # What lies in this folder is read elsewhere.
    pages = [page for page in pages if page.parent.name != "listing"]

    assert [page for page in pages if "pipecat-twilio-frames[" in page.read_text("utf-8")] == []


def test_named_documents_exist():
    named = set(re.findall(r"\]\((docs/[\w./-]+)\)", README))

    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
