"""Opens every page of this package in Chromium: axe-core has to find nothing, Lighthouse little.

Serves what is needed on this machine: the page to place a call from, the console with 200 calls and
one of them live, the softphone, a report, and the documentation, which ``make docs`` has built.
Lighthouse and axe-core come from npm into a temporary folder. Needs Chromium, Node, npm and the
extra ``test``::

    python bench/lighthouse.py
    python bench/lighthouse.py --pictures pictures --pages console report

Fails where axe-core finds anything, at three sizes and in both colours, or where Lighthouse gives
less than 95 for performance, accessibility or best practices, on a telephone with a slow network
as it imagines them. With ``--timeless``, for a machine that does other things as well, performance
is told and only what moves about is judged of it.
"""

import argparse
import asyncio
import gzip
import json
import mimetypes
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from pipecat.frames.frames import Frame, TranscriptionFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from yarl import URL

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.chromium import Page, browser
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call
from twilio_frames.campaign import Outcome
from twilio_frames.campaign.plan import Progress
from twilio_frames.frames import CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.fallback.vendor_health import VENDORS, FailureKind, VendorRole
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.server.calls.records import CallRecords, StreamPhase
from twilio_frames.server.state import STATE
from twilio_frames.testing import Caller, SimulatedTwilio
from twilio_frames.testing.softphone import Softphone

PACKAGES = ("lighthouse@12.8.2", "axe-core@4.14.1")
LEAST = 0.95
CATEGORIES = ("performance", "accessibility", "best-practices")
SITE = Path(__file__).parents[1] / "build" / "site"
_LOOKS = {
    "light": {"width": 1280, "height": 900},
    "dark": {"width": 1280, "height": 900, "is_dark": True},
    "phone": {"width": 390, "height": 844, "is_dark": True},
}
_CALLS, _PAST_CALLS = 200, 60
_TRIES = 3
_SLOWDOWN = 4.0
_PHONE_INDEX = 375
"""Lighthouse takes the machine for a fast desktop, of an index of 1500, and a telephone for a
fourth of that (its docs/throttling.md). A machine that is slower, or busy, is slowed down less."""
_LIGHTHOUSE = """
    import lighthouse from "lighthouse";
    import { throttling as known } from "lighthouse/core/config/constants.js";
    import { readFileSync } from "node:fs";
    const { port, url, categories, slowdown } = JSON.parse(readFileSync(0, "utf8"));
    const throttling = { ...known.mobileSlow4G, cpuSlowdownMultiplier: slowdown };
    const wanted = { port, onlyCategories: categories, logLevel: "error", throttling };
    const { lhr } = await lighthouse(url, wanted);
    const layout = lhr.audits["cumulative-layout-shift"];
    const told = { index: lhr.environment.benchmarkIndex, layout };
    for (const [name, { score, auditRefs }] of Object.entries(lhr.categories)) {
        const short = auditRefs.map(({ id, weight }) => ({ weight, ...lhr.audits[id] }))
            .filter(({ weight, score }) => weight && score !== null && score < 1);
        told[name] = { score, why: short.map(({ title, displayValue }) =>
            [title, displayValue].filter(Boolean).join(": ")) };
    }
    console.log(JSON.stringify(told));
"""
_AXE = """
    axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
        violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) =>
            `${id} at ${target.join(" ")}: ${failureSummary.split("\\n").slice(1).join("; ")}`)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page that is looked at.

    Parameters:
        url: Where it is.
        ready: When it has drawn itself, an expression of its own.
        deeds: What somebody does there first: selectors of what is pressed.
        is_scored: Whether Lighthouse looks at it as well, which takes a while.
    """

    url: str
    ready: str = "true"
    deeds: Sequence[str] = ()
    is_scored: bool = True


class Answers(FrameProcessor):
    """Says the same to whatever was said."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:  # noqa: D102
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            await self.push_frame(TTSSpeakFrame("A large latte. What name shall I put on it?"))


async def talk(call: Call) -> None:
    """A bot that hears one thing and says another."""
    ears = [call.transport.input(), PhoneVAD(), Scribe(*["a large latte please"] * 100)]
    context = PhoneContextAggregator(LLMContext())
    voice = [EspeakTTSService(), call.transport.output(), context.assistant()]
    await call.run(
        Pipeline([*ears, Answers(), context.user(), *voice]),
        greeting="Good morning, this is the bakery. What can I get you?",
    )


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Mapping[str, Shown]]:
    """The pages of a server, on this machine, by their names."""
    async with AsyncExitStack() as stack:
        twilio = await stack.enter_async_context(SimulatedTwilio())
        settings = ServerSettings(
            account_sid=twilio.account_sid,
            auth_token=twilio.auth_token,
            api_url=twilio.rest_url,
            phone_number="+14155550199",
            max_calls=_CALLS + 50,
            call_logs=folder,
            log_words=True,
            warm=False,
        )
        app = create_app(talk, settings)
        Softphone(talk, name="The bakery").add_to(app)
        _fill(app[STATE].records)
        server = await stack.enter_async_context(Server(app))
        server.shows_campaign("reminders.csv")(_progress())
        past = await _called(twilio, server)
        caller = await stack.enter_async_context(twilio.call(f"{server.url}/twiml"))
        talking = asyncio.create_task(_converse(caller))
        stack.callback(talking.cancel)
        yield {
            "front": Shown(url=f"{server.url}/", deeds=("#options summary",)),
            "console": Shown(
                url=f"{server.url}/console",
                ready="document.querySelectorAll('#calls button').length > 200",
                deeds=(
                    *("#place > summary", "#past > summary", "#vendors > summary"),
                    f"#calls [data-sid={caller.call_sid}]",
                ),
            ),
            "softphone": Shown(url=f"{server.url}/phone", deeds=("#settings summary",)),
            "report": Shown(
                url=f"{server.url}/calls/{past}/report",
                ready="performance.getEntriesByName('drawn').length",
            ),
        }


def _fill(records: CallRecords) -> None:
    """Has a server know many calls, and how its vendors do."""
    for n in range(_CALLS + _PAST_CALLS):
        record = records.open(f"CA{n:032x}")
        is_up = n >= _PAST_CALLS
        record.phase = StreamPhase.UP if is_up else StreamPhase.FAILED
        record.end_reason = None if is_up else CallEndReason.LINE_LOST
        record.direction = "inbound" if n % 3 else "outbound-api"
        record.from_number, record.to_number = f"+1415555{n:04d}", f"+1212555{n:04d}"
        record.began_at = time.time() - 3 * (_CALLS + _PAST_CALLS - n)
    VENDORS.of(VendorRole.STT, "Deepgram").succeeded(0.12)
    VENDORS.of(VendorRole.TTS, "Cartesia").failed(FailureKind.CONNECTION)


def _progress() -> Progress:
    outcomes = {Outcome.ANSWERED: 41, Outcome.BUSY: 6, Outcome.NO_ANSWER: 11}
    return Progress(
        contacts=120,
        outcomes=outcomes,
        up=4,
        waiting=58,
        calls=83,
        next_at=None,
        seconds_left=1500.0,
    )


async def _called(twilio: SimulatedTwilio, server: Server) -> str:
    """A call that is over, with its log; gives its sid."""
    async with twilio.call(f"{server.url}/twiml") as caller:
        await caller.wait_for_bot()
        await caller.say("A large latte, please.")
        await caller.wait(1.0)
    return caller.call_sid


async def _converse(caller: Caller) -> None:
    while True:
        await caller.wait_for_bot()
        await caller.say("A large latte, please.")


@asynccontextmanager
async def documented() -> AsyncIterator[Mapping[str, Shown]]:
    """The documentation, served compressed as hosts of such sites do."""
    if not (SITE / "index.html").exists():
        raise SystemExit(f"expected the documentation at {SITE}, got none: run `make docs` first")

    async def give(request: web.Request) -> web.Response:
        path = SITE / request.match_info["path"]
        if not path.is_relative_to(SITE) or not path.is_file():
            raise web.HTTPNotFound
        headers = {"Content-Encoding": "gzip", "Cache-Control": "max-age=600"}
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        text = await asyncio.to_thread(lambda: gzip.compress(path.read_bytes()))
        return web.Response(body=text, content_type=kind, headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.+}", give)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield {
            "docs": Shown(url=f"{url}/index.html"),
            "docs-console": Shown(url=f"{url}/console.html", is_scored=False),
        }
    finally:
        await runner.cleanup()


async def _run(*command: str, folder: Path, told: str = "") -> str:
    """What a command prints, in a folder."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(180):
        printed, _ = await process.communicate(told.encode())
    if process.returncode:
        raise SystemExit(f"expected {command[0]} to succeed, got status {process.returncode}")
    return printed.decode()


async def axe(page: Page, shown: Shown, source: str) -> AsyncIterator[tuple[str, list[str], bytes]]:
    """By each look of a page, what axe-core finds, and a picture."""
    for look, size in _LOOKS.items():
        await page.looks(**size)
        await page.open("about:blank")
        # The documentation keeps the colours it was first seen in.
        origin = str(URL(shown.url).origin())
        await page.do("Storage.clearDataForOrigin", origin=origin, storageTypes="local_storage")
        await page.open(shown.url)
        await page.wait_until(shown.ready)
        for selector in shown.deeds:
            await page.click(selector)
        await page.value("scrollTo(0, 0)")
        picture = await page.picture()
        await page.value(f"{source}; 0")
        yield look, await page.value(_AXE), picture


async def lighthouse(page: Page, shown: Shown, folder: Path) -> Mapping[str, Any]:
    """What Lighthouse gives a page, by category.

    Where that is too little, the best of some tries: it counts the processor's time by the clock,
    and what else runs on the machine can only take some of that.
    """
    node = ("node", "--input-type=module", "--eval", _LIGHTHOUSE)
    asked = {"port": page.port, "url": shown.url, "categories": CATEGORIES}
    tries: list[Mapping[str, Any]] = []
    slowdown = _SLOWDOWN
    while len(tries) < _TRIES:
        told = json.dumps({**asked, "slowdown": slowdown})
        tries.append(json.loads(await _run(*node, folder=folder, told=told)))
        if all(tries[-1][kind]["score"] >= LEAST for kind in CATEGORIES):
            break
        slowdown = min(_SLOWDOWN, max(1.0, tries[-1]["index"] / _PHONE_INDEX))
    return max(tries, key=lambda scores: sum(scores[kind]["score"] for kind in CATEGORIES))


def _tell(name: str, scores: Mapping[str, Any], *, is_timeless: bool) -> list[str]:
    """Prints a page's scores; gives what is too low."""
    shown = "  ".join(f"{kind} {100 * scores[kind]['score']:3.0f}" for kind in CATEGORIES)
    print(f"{name:<14}{shown}", flush=True)
    return [
        f"{name}: {kind} {100 * scores[kind]['score']:.0f}: " + "; ".join(scores[kind]["why"])
        for kind in CATEGORIES
        if scores[kind if kind != "performance" or not is_timeless else "layout"]["score"] < LEAST
    ]


async def examine(pages: Iterable[str], pictures: Path | None, *, is_timeless: bool) -> list[str]:
    """Looks at pages; gives what is wrong with them."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as made:
        folder, logs = Path(made) / "npm", Path(made) / "logs"
        folder.mkdir()
        flags = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--silent")
        await _run("npm", "install", *flags, *PACKAGES, folder=folder)
        source = (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
        async with served(logs) as own, documented() as docs, browser() as page:
            found = {**own, **docs}
            for name in pages or found:
                async for look, complaints, picture in axe(page, found[name], source):
                    wrong += [f"{name}, {look}: {complaint}" for complaint in complaints]
                    if pictures is not None:
                        (pictures / f"{name}-{look}.png").write_bytes(picture)
                wrong += [f"{name}: {complaint}" for complaint in page.complaints]
                page.complaints.clear()
                if found[name].is_scored:
                    await page.open("about:blank")
                    scores = await lighthouse(page, found[name], folder)
                    wrong += _tell(name, scores, is_timeless=is_timeless)
    return wrong


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="+", default=(), help="only these")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each look")
    parser.add_argument("--timeless", action="store_true", help="judge nothing by the clock")
    options = parser.parse_args()
    if options.pictures:
        options.pictures.mkdir(exist_ok=True, parents=True)
    began = time.perf_counter()
    wrong = asyncio.run(examine(options.pages, options.pictures, is_timeless=options.timeless))
    print(f"{time.perf_counter() - began:.0f} s")
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
