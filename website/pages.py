"""What the documentation's site is made of, beside the files in ``docs``.

A page may hold lines of these forms, which the site replaces:

- ``<!-- README: Extras -->`` by the section of the README that has this heading;
- ``<!-- CHANGELOG -->`` by the changelog, without its title.

Links from a page to an example lead to a page with its source.
"""

import argparse
import ast
import inspect
import posixpath
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

__all__ = [
    "command_page",
    "completed",
    "example_pages",
    "from_elsewhere",
    "labelled",
    "llms_txt",
    "public_names",
    "reachable",
    "reference_pages",
    "reference_text",
    "summary",
    "with_crossings",
]

_INCLUDED = re.compile(r"^<!-- README: (.+?) -->$", re.M)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
_LINK = re.compile(r"(?<=\]\()([^)#\s]+)(#[^)\s]*)?(?=\))")
_FROM_ELSEWHERE = re.compile(
    # A canonical link says where the page is, and is not followed.
    r"<(?:script|img|audio|link(?![^>]*\brel=[\"']?canonical))\b"
    r"[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>"
)


def completed(text: str, page: str, root: Path) -> str:
    """Fills in what a page takes from the repository, and turns its links to the site's own.

    Args:
        text: The page's Markdown.
        page: Its place below ``docs``, such as ``vendors/google.md``.
        root: The repository.
    """
    readme = (root / "README.md").read_text("utf-8")
    text = _INCLUDED.sub(lambda found: _moved(_section(readme, found[1]), page), text)
    if "<!-- CHANGELOG -->" in text:
        changes = (root / "CHANGELOG.md").read_text("utf-8").split("\n", 1)[1]
        text = text.replace("<!-- CHANGELOG -->", _moved(changes, page))
    return _LINK.sub(lambda found: _on_site(found[1], page) + (found[2] or ""), text)


def _section(readme: str, heading: str) -> str:
    """The part of a text that stands under a heading."""
    begun = re.search(rf"^(#+) {re.escape(heading)}\n", readme, re.M)
    if begun is None:
        raise ValueError(f"expected README.md to have the heading {heading!r}, it has none such")
    rest = readme[begun.end() :]
    # What looks like a heading within a block of code is none.
    hidden = _FENCE.sub(lambda block: re.sub(r"^#", " ", block[0], flags=re.M), rest)
    end = re.search(rf"^#{{1,{len(begun[1])}}} ", hidden, re.M)
    return rest[: end.start() if end else None].strip()


def _moved(text: str, page: str) -> str:
    """A text from the top of the repository, its links as they are from a page."""

    def move(found: re.Match[str]) -> str:
        target = found[1]
        if "://" in target:
            return found[0]
        return posixpath.relpath(target, posixpath.dirname(f"docs/{page}")) + (found[2] or "")

    return _LINK.sub(move, text)


def _on_site(target: str, page: str) -> str:
    """Where a link to a file of the repository leads on the site."""
    if "://" in target:
        return target
    here = posixpath.dirname(f"docs/{page}")
    path = posixpath.normpath(posixpath.join(here, target))
    if path == "README.md":
        path = "docs/install.md"
    elif path.startswith("examples/") and path.endswith(".py"):
        path = f"docs/{path.removesuffix('.py')}.md"
    else:
        return target
    return posixpath.relpath(path, here)


def example_pages(root: Path) -> dict[str, str]:
    """A page for each example: what it says of itself, and its source."""
    pages: dict[str, str] = {}
    for path in sorted((root / "examples").rglob("*.py")):
        if path.name.startswith("__"):
            continue
        source = path.read_text("utf-8")
        name = path.relative_to(root / "examples").with_suffix("")
        told = (ast.get_docstring(ast.parse(source)) or "").replace("``", "`")
        title = "`" + ".".join(name.parts) + "`"
        code = f"````python\n{source.rstrip()}\n````\n"
        pages[f"examples/{name.as_posix()}.md"] = f"# Example {title}\n\n{told}\n\n{code}"
    return pages


def public_names(text: str) -> dict[str, list[str]]:
    """The names of each module of ``docs/public-names.txt``."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in text.splitlines():
        if line.startswith(" "):
            names += line.split()
        elif line and not line.startswith("#"):
            names = found.setdefault(line.strip(), [])
    return found


def reference_pages(names: Mapping[str, list[str]]) -> dict[str, str]:
    """A page for each public module, which mkdocstrings fills, and one that lists them."""
    pages: dict[str, str] = {}
    listed = [
        "# API",
        "",
        "What may be imported, by module. All else may change without notice.",
        "",
    ]
    listed += ["| module | names |", "|---|---|"]
    for module, own in names.items():
        path = f"reference/{module}.md"
        blocks = [f"::: {module}.{name}\n" for name in own if not name.startswith("__")]
        if not blocks:
            continue
        pages[path] = "\n".join([f"# `{module}`", "", *blocks])
        shown = " ".join(f"[`{name}`]({module}.md#{module}.{name})" for name in own)
        listed.append(f"| [`{module}`]({module}.md) | {shown} |")
    pages["reference/index.md"] = "\n".join(listed) + "\n"
    return pages


def reference_text(module: str, names: Iterable[str]) -> str:
    """The same page for those who read Markdown: signatures and docstrings."""
    parts = [f"# `{module}`"]
    room = import_module(module)
    for name in names:
        thing = getattr(room, name)
        parts.append(
            _entry("##", name, name, thing, inspect.getdoc(thing) if callable(thing) else "")
        )
        for own, member in vars(thing).items() if inspect.isclass(thing) else ():
            if inspect.isfunction(member) and not own.startswith("_") and member.__doc__:
                parts.append(_entry("###", f"{name}.{own}", own, member, inspect.getdoc(member)))
    return "\n\n".join(parts) + "\n"


def _entry(level: str, title: str, name: str, thing: object, told: str | None) -> str:
    code = f"```python\n{_signature(name, thing)}\n```"
    return f"{level} {title}\n\n{code}\n\n{told or ''}".rstrip()


def _signature(name: str, thing: object) -> str:
    if not callable(thing):
        return f"{name} = {thing!r}"
    try:
        return f"{name}{inspect.signature(thing)}"
    except (TypeError, ValueError):
        return name


_EXITS = """| exit status | what it means |
|---|---|
| 0 | done |
| 1 | it could not be done, and why was said |
| 2 | the command line is wrong |
| 3 | it was done, but not as it should be: each command says what that means |
| 130 | interrupted by Ctrl-C |
"""


def command_page(parser: argparse.ArgumentParser) -> str:
    """A page of a command's parts, as its own parser has them."""
    about = parser.description or ""
    parts = [f"# The command line\n\n{about}\n\n{_EXITS}"]
    parts += [part for command in _subcommands(parser) for part in _command_parts(command, 2)]
    return "\n\n".join(parts) + "\n"


def _subcommands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    return [
        command
        for action in parser._actions  # nothing else lists them
        if isinstance(action.choices, dict)
        for command in action.choices.values()
    ]


def _command_parts(parser: argparse.ArgumentParser, level: int) -> Iterable[str]:
    yield f"{'#' * level} {parser.prog}"
    if parser.description:
        yield " ".join(parser.description.split())
    rows = [row for action in parser._actions if (row := _option_row(action))]
    if rows:
        yield "\n".join(["| argument | what it is |", "|---|---|", *rows])
    if parser.epilog:
        yield f"```text\n{parser.epilog}\n```"
    for command in _subcommands(parser):
        yield from _command_parts(command, level + 1)


def _option_row(action: argparse.Action) -> str:
    if not action.help or action.help == argparse.SUPPRESS or "--help" in action.option_strings:
        return ""
    metavar = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    shown = metavar[0] if isinstance(metavar, tuple) else metavar
    name = ", ".join(action.option_strings)
    takes = action.nargs != 0 or not name
    told = (action.help % {"default": action.default}).replace("|", "\\|")
    return f"| `{name + ' ' * bool(name and takes) + (shown if takes else '')}` | {told} |"


_CROSSING = re.compile(r":(?:class|func|meth|attr|mod|data|exc):<code>~?([\w.]+)</code>")


def with_crossings(html: str) -> str:
    """Turns reStructuredText of docstrings into HTML: links, where the site has what they name."""

    def link(found: re.Match[str]) -> str:
        short = found[1].rpartition(".")[2]
        return f'<autoref identifier="{found[1]}" optional><code>{short}</code></autoref>'

    return _CROSSING.sub(link, html).replace("::</p>", ":</p>")


_HEADINGS = re.compile(r"<thead>.*?</thead>\s*", re.S)
_CODE = re.compile(r"<pre(?=[^>]*>(?:<span></span>)?<code>)")


def from_elsewhere(html: str) -> str | None:
    """The first thing that a page would fetch from another server."""
    found = _FROM_ELSEWHERE.search(html)
    return found and found[0]


def reachable(html: str) -> str:
    """Has a page's tables and code be read and reached by those who see and point at nothing.

    A heading without words is none, and code that is wider than its page is moved by keys.
    """

    def heading(found: re.Match[str]) -> str:
        if not re.search(r"<th\b[^>]*>\s*[^<\s]|<th\b[^>]*>\s*<(?!/th)", found[0]):
            return ""
        return re.sub(r"<th\b([^>]*)>\s*</th>", r"<td\1></td>", found[0])

    return _CODE.sub('<pre tabindex="0"', _HEADINGS.sub(heading, html))


_MENU = re.compile(
    r'(<nav class="md-nav" data-md-level="\d+") aria-labelledby="[^"]*"'
    r'([^>]*>\s*<label class="md-nav__title"[^>]*>(?:\s*<span[^>]*></span>)?\s*([^<]*?)\s*</label>)'
)


def labelled(html: str) -> str:
    """Gives the theme's search and menus the names that they lack for those who do not see them."""
    html = html.replace('role="dialog"', 'role="dialog" aria-label="Search"', 1)
    return _MENU.sub(r'\1 aria-label="\3"\2', html)


def summary(text: str) -> str:
    """A page's first sentence, as a list of pages gives it."""
    for block in re.split(r"\n\s*\n", text):
        if block.lstrip().startswith(("#", "|", "<", "```", "!", "-", ":::")):
            continue
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(block.split()))
        return re.split(r"(?<=[.?!]) ", plain)[0].rstrip(":").replace("**", "")
    return ""


def llms_txt(title: str, about: str, sections: Mapping[str, list[tuple[str, str, str]]]) -> str:
    """A list of all pages for programs that read (https://llmstxt.org).

    Args:
        title: The site's name.
        about: What it is about.
        sections: By section, each page's title, address and first sentence.
    """
    lines = [f"# {title}", "", f"> {about}"]
    for section, pages in sections.items():
        lines += ["", f"## {section}", ""]
        lines += [
            f"- [{name}]({address})" + (f": {told}" if told else "")
            for name, address, told in pages
        ]
    return "\n".join(lines) + "\n"
