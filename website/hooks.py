"""What MkDocs asks while it builds the site; ``pages.py`` has the answers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page
from pages import (
    command_page,
    completed,
    example_pages,
    from_elsewhere,
    labelled,
    llms_txt,
    public_names,
    reachable,
    reference_pages,
    reference_text,
    summary,
    with_crossings,
)

from twilio_frames.cli import parser

ROOT = Path(__file__).parents[1]
_NAMES = public_names((ROOT / "docs" / "public-names.txt").read_text("utf-8"))

_texts: dict[str, str] = {}
_sections: dict[str, list[Page]] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts each module's page into the navigation, under the one that lists them."""
    modules = [
        {path.removeprefix("reference/twilio_frames.").removesuffix(".md"): path}
        for path in reference_pages(_NAMES)
        if path != "reference/index.md"
    ]
    for section in config.nav or []:
        for item in section.get("Reference", []):
            if "API" in item:
                item["API"] = ["reference/index.md", *modules]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made of the repository."""
    made = {
        **example_pages(ROOT),
        **reference_pages(_NAMES),
        "command-line.md": command_page(parser()),
    }
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_nav(nav: Navigation, **_: Any) -> None:
    """Keeps which page belongs to which section."""
    for item in nav.items:
        if isinstance(item, Section):
            _sections[item.title] = [*_pages_in(item)]
        elif isinstance(item, Page):
            _sections.setdefault("The package", []).append(item)


def _pages_in(section: Section) -> Iterator[Page]:
    for item in section.children:
        if isinstance(item, Page):
            yield item
        elif isinstance(item, Section):
            yield from _pages_in(item)


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fills in what the page takes from the repository."""
    path = page.file.src_uri
    text = _texts[path] = completed(markdown, path, ROOT)
    page.meta.setdefault("description", summary(text))
    module = path.removeprefix("reference/").removesuffix(".md")
    if path.startswith("reference/") and module in _NAMES:
        _texts[path] = reference_text(module, _NAMES[module])
    return text


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Draws pictures into the page, so that they take its colours; links docstrings."""
    here = Path(page.file.src_uri).parent

    def drawn(found: re.Match[str]) -> str:
        picture = (ROOT / "docs" / here / found[1]).read_text("utf-8")
        return f'<div class="picture-frame" tabindex="0">{picture}</div>'

    html = re.sub(r'<img [^>]*src="([^":]+\.svg)"[^>]*>', drawn, html)
    return reachable(with_crossings(html))


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuses a page that would fetch anything from elsewhere."""
    if found := from_elsewhere(output):
        raise PluginError(f"expected {page.file.src_uri} to need no network, got {found}")
    return labelled(output)


def on_post_build(config: MkDocsConfig) -> None:
    """Puts each page beside itself as Markdown, and the list of them all."""
    site = Path(config.site_dir)
    for path, text in _texts.items():
        place = site / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    sections = {
        title: [
            (str(page.title), page.file.src_uri, summary(_texts[page.file.src_uri]))
            for page in pages
        ]
        for title, pages in _sections.items()
    }
    listed = llms_txt(config.site_name, config.site_description or "", sections)
    (site / "llms.txt").write_text(listed, "utf-8")
