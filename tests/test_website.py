"""The documentation's site: every page is found, and holds what it says it takes."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from twilio_frames.cli import parser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SITE: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
# A folder of texts for elsewhere, and what the site makes itself.
NOT_IN_NAV = {"listing"}
MADE = {"reference/index.md", "command-line.md"}


@cache
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "website" / "pages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_nav(nav: Any) -> Iterator[str]:
    for item in nav.values() if isinstance(nav, dict) else nav:
        if isinstance(item, str):
            yield item
        else:
            yield from in_nav(item)


def test_every_page_is_in_the_navigation():
    found = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    listed = [*in_nav(SITE["nav"])]

    assert len(listed) == len(set(listed))
    assert {page for page in found if page.split("/")[0] not in NOT_IN_NAV} == {*listed} - MADE


def test_site_is_built_where_git_does_not_look():
    assert SITE["site_dir"].split("/")[0] + "/" in (ROOT / ".gitignore").read_text("utf-8")


def test_ci_builds_the_site():
    assert "mkdocs build --strict" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_sections_of_the_readme_are_filled_in():
    text = pages().completed("Above.\n\n<!-- README: Extras -->\n", "install.md", ROOT)

    assert "| `local` |" in text
    assert "](fleet.md)" in text
    assert "## What it does for a bot" not in text


def test_headings_in_code_do_not_end_a_section():
    text = pages().completed("<!-- README: Work on it -->", "vendors/README.md", ROOT)

    assert "affiliated" in text


def test_missing_section_is_named():
    with pytest.raises(ValueError, match="the heading 'Nowhere'"):
        pages().completed("<!-- README: Nowhere -->", "install.md", ROOT)


def test_changelog_is_filled_in():
    text = pages().completed("# Changes\n\n<!-- CHANGELOG -->", "changelog.md", ROOT)

    assert text.startswith("# Changes\n")
    assert "## Unreleased" in text


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("../../examples/google_speech.py", "../examples/google_speech.md"),
        ("../../README.md#extras", "../install.md#extras"),
        ("../faults.md#google-hears-and-speaks", "../faults.md#google-hears-and-speaks"),
        ("https://example.com/README.md", "https://example.com/README.md"),
    ],
)
def test_links_lead_to_the_site(target: str, leads_to: str):
    text = pages().completed(f"[x]({target})", "vendors/google.md", ROOT)

    assert text == f"[x]({leads_to})"


def test_each_example_has_a_page():
    made = pages().example_pages(ROOT)

    assert "async def bot(" in made["examples/telephone/put_through.md"]
    assert made["examples/bot.md"].startswith("# Example `bot`\n")


def test_reference_has_every_public_name():
    names = pages().public_names((DOCS / "public-names.txt").read_text("utf-8"))
    made = pages().reference_pages(names)

    assert (
        "::: twilio_frames.server.guard.Webhook\n"
        in made["reference/twilio_frames.server.guard.md"]
    )
    for module, own in names.items():
        for name in own:
            assert name.startswith("__") or f"#{module}.{name}" in made["reference/index.md"]


def test_reference_is_also_to_be_read_as_text():
    text = pages().reference_text("twilio_frames.signature", ["sign", "SignatureValidator"])

    assert "def" not in text.split("\n## ")[0]
    assert "## sign\n\n```python\nsign(" in text
    assert "### SignatureValidator." in text


def test_command_line_has_every_option():
    text = pages().command_page(parser())

    assert "## twilio-frames serve" in text
    assert "| `--workers N` | processes" in text
    assert "| `--no-browser` |" in text
    assert "### twilio-frames calls listen" in text or "`listen`" in text


def test_docstrings_link_to_one_another():
    html = pages().with_crossings("<p>See :class:<code>~twilio_frames.call.Call</code>::</p>")

    link = '<autoref identifier="twilio_frames.call.Call" optional><code>Call</code></autoref>'
    assert html == f"<p>See {link}:</p>"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("# Turns\n\nThe bot answers [soon](x.md). Not at once.\n", "The bot answers soon."),
        ("# Keys\n\n| a | b |\n|---|---|\n\nDigits come:\n", "Digits come"),
        ("# Nothing\n", ""),
    ],
)
def test_page_is_summed_up(text: str, first: str):
    assert pages().summary(text) == first


def test_list_for_programs():
    text = pages().llms_txt(
        "site", "About it.", {"Start": [("Home", "index.md", "Begins."), ("X", "x.md", "")]}
    )

    assert text == (
        "# site\n\n> About it.\n\n## Start\n\n- [Home](index.md): Begins.\n- [X](x.md)\n"
    )


def test_each_thing_of_ours_that_is_compared_can_be_looked_at():
    """A cell of ours leads to a page or names a command; only what the package *is* does not."""
    text = (DOCS / "compare.md").read_text("utf-8").partition("## What the caller notices")[2]
    ours = [line.split(" | ")[1] for line in text.splitlines() if line.startswith("| ")]
    ours = [cell for cell in ours if cell != "this package"]

    assert len(ours) > 20
    assert [cell for cell in ours if "](" not in cell or "planned" in cell] == []


@cache
def said_in_code() -> list[str]:
    """Every text of the package, with … where a value goes in."""
    found: list[str] = []
    rooms = ("server", "transport", "rest", "protocol", "call", "twiml.py", "frames")
    for room in rooms:
        place = ROOT / "twilio_frames" / room
        for path in [place] if place.is_file() else place.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append(template(node))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


def template(node: ast.JoinedStr) -> str:
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
    )


def log_lines() -> Iterator[str]:
    for page in sorted((DOCS / "errors").glob("*.md")):
        text = page.read_text("utf-8").partition("## In our log")[2].partition("## What to do")[0]
        for block in re.findall(r"```text\n(.*?)```", text, re.S):
            yield from block.splitlines()


def test_log_lines_are_the_ones_that_are_written():
    """A line is made of a template of the code, and each long piece of it stands there."""
    said = said_in_code()
    long_enough = [one for one in said if len(one.replace("…", "")) > 4]
    templates = [
        re.compile(re.escape(one).replace("…", ".*"), re.S) for one in long_enough if "…" in one
    ]
    unknown: list[str] = []
    for line in log_lines():
        pieces = [one for one in re.split(r"…|: | \(|; ", line) if len(one) > 15]
        if not any(one.fullmatch(line) for one in templates):
            unknown.append(line)
        unknown += [one for one in pieces if not any(one.strip() in text for text in said)]

    assert unknown == []


def test_tables_and_code_are_for_those_who_do_not_see_or_point():
    empty = "<table><thead>\n<tr>\n<th></th>\n<th style='a'> </th>\n</tr>\n</thead>\n<tbody>"
    half = "<thead><tr><th></th><th><code>a</code></th></tr></thead>"
    code = "<pre><span></span><code><a id='1'></a>x = 1</code></pre><p><code>y</code></p>"

    assert pages().reachable(empty) == "<table><tbody>"
    assert pages().reachable(half) == half.replace("<th></th>", "<td></td>")
    assert pages().reachable(code) == code.replace("<pre>", '<pre tabindex="0">')


@pytest.mark.parametrize(
    "tag",
    [
        '<link href="https://example.com/a.css" rel="stylesheet">',
        '<script src="//example.com/a.js">',
        '<audio controls src="http://example.com/a.wav">',
    ],
)
def test_page_fetches_nothing_from_elsewhere(tag: str):
    # A page's own address stands in it once the site has one, and in `mkdocs serve`.
    own = '<link rel="canonical" href="http://127.0.0.1:8000/a.html"><audio src="a.wav">'

    assert pages().from_elsewhere(own) is None
    assert pages().from_elsewhere(own + tag) == tag


def test_menus_and_search_have_names():
    label = '<label class="md-nav__title" for="a">\n<span class="md-icon"></span>\n{}\n</label>'
    menu = '<nav class="md-nav" data-md-level="1" aria-{}="{}" aria-expanded="false">\n'

    given = '<div role="dialog">' + menu.format("labelledby", "a_label") + label.format("Vendors")
    assert pages().labelled(given) == (
        '<div role="dialog" aria-label="Search">'
        + menu.format("label", "Vendors")
        + label.format("Vendors")
    )
