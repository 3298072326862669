"""The Python of the pages: ``python -m tests.snippets FOLDER`` writes it as modules for pyright.

What a page takes as given, a call or a pipeline of yours say, stands here with its type.
"""

import ast
import builtins
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import TransportParams

from twilio_frames.call import Call
from twilio_frames.campaign import CampaignLine, CampaignPolicy, Contact
from twilio_frames.campaign.contacts import ContactList
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.rest import TwilioRest
from twilio_frames.server import Server
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.transport import TwilioTransport

self: FrameProcessor
bot: Callable[[Call], Awaitable[None]]
call: Call
carry_out_again: Callable[..., Awaitable[None]]
cartesia: TTSService
contacts: Sequence[Contact]
context: PhoneContextAggregator
deepgram: STTService
headers: Mapping[str, str]
line: CampaignLine
listed: ContactList
llm: LLMService
make_bot: Callable[[str], Callable[[Call], Awaitable[None]]]
make_recogniser: Callable[[], STTService]
make_voice: Callable[[], TTSService]
one: Server
one_moment: bytes
other: Server
piper: TTSService
pipeline: Pipeline
policy: CampaignPolicy
rest: TwilioRest
run_bot: Callable[..., Awaitable[None]]
server: Server
session: ClientSession
settings: PhoneCartesiaTTSService.Settings
sid: str
slow_question: Callable[[], Awaitable[float]]
sorry: bytes
state: Path
stt: STTService
transport: TwilioTransport
transport_params: dict[str, Callable[[], TransportParams]]
tts: TTSService
twilio: SimulatedTwilio
url: str
whisper: STTService

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^ *```$", re.M | re.S)
# Pipecat's messages are any vendor's, by their types: to look into one is no mistake.
_RULES = "# pyright: basic, reportTypedDictNotRequiredAccess=false, reportIndexIssue=false\n"
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Snippet:
    """A block of Python on a page.

    Args:
        name: The page, and the how many-th it is there.
        code: What is shown.
        imports: What blocks above it on the page have imported.
    """

    name: str
    code: str
    imports: str

    @property
    def given(self) -> list[str]:
        """The names that it takes as given."""
        return sorted(
            {one.id for one in self._names if isinstance(one.ctx, ast.Load)}
            - self._bound
            - {*dir(builtins), "__name__", "__file__"}
        )

    @property
    def awaits(self) -> bool:
        """Whether it awaits something outside of its functions: it stands in one of yours."""
        waiting = (ast.Await, ast.AsyncWith, ast.AsyncFor)
        return any(
            isinstance(node, waiting)
            for statement in ast.parse(self.code).body
            if not isinstance(statement, _DEFINITIONS)
            for node in ast.walk(statement)
        )

    def module(self) -> str:
        """What a type checker looks at."""
        given = f"from tests.snippets import {', '.join(self.given)}\n" if self.given else ""
        head = f"{_RULES}{self.imports}{given}"
        if not self.awaits:
            return head + self.code
        lines = self.code.replace("\n", "\n    ")
        return f"{head}\n\nasync def shown() -> None:\n    {lines}"

    @property
    def _tree(self) -> ast.Module:
        return ast.parse(self.imports + self.code)

    @property
    def _names(self) -> list[ast.Name]:
        return [node for node in ast.walk(self._tree) if isinstance(node, ast.Name)]

    @property
    def _bound(self) -> set[str]:
        bound = {one.id for one in self._names if isinstance(one.ctx, ast.Store)}
        for node in ast.walk(self._tree):
            if isinstance(node, _DEFINITIONS):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {(one.asname or one.name).split(".")[0] for one in node.names}
        return bound


def blocks(page: Path, *kinds: str) -> Iterator[str]:
    """What stands in a page's blocks of these languages."""
    for indent, kind, text in _BLOCK.findall(page.read_text("utf-8")):
        if kind in kinds:
            yield re.sub(rf"^{indent}", "", text, flags=re.M)


def named(page: Path) -> str:
    """A page as it is called in the repository."""
    return str(page.relative_to(ROOT))


def snippets() -> Iterator[Snippet]:
    """The Python of all pages."""
    for page in PAGES:
        above: list[str] = []
        for number, code in enumerate(blocks(page, "python")):
            yield Snippet(f"{named(page)}-{number}", code, "".join(above))
            imports = (ast.Import, ast.ImportFrom)
            above += [
                ast.unparse(one) + "\n" for one in ast.parse(code).body if isinstance(one, imports)
            ]


def main(folder: Path) -> None:
    """Writes a module for each."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "my_bot.py").write_text("from tests.snippets import bot as bot\n", "utf-8")
    for one in snippets():
        (folder / (re.sub(r"\W", "_", one.name) + ".py")).write_text(one.module(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
