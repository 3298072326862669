"""Makes ``docs/report.png``: the report of the demonstration, as a browser shows it.

Runs the demonstration, or takes the report of an earlier one; needs Chromium::

    python bench/report_picture.py
    python bench/report_picture.py --report ~/.cache/twilio-frames/demo/call.html
"""

import argparse
import asyncio
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.chromium import browser
from twilio_frames.cli import main as twilio_frames

_TARGET = Path(__file__).parent.parent / "docs" / "report.png"
_WIDTH = 1160
_RATIO = 1.5
_MOST_BYTES = 200_000


async def taken(address: str) -> bytes:
    """The report from its title to the timeline's legend, as PNG."""
    async with browser() as page:
        await page.looks(_WIDTH, 800, ratio=_RATIO)
        await page.open(f"{address}#theme=dark")
        await page.wait_until("performance.getEntriesByName('drawn').length")
        bottom = await page.value("document.querySelector('.card').getBoundingClientRect().bottom")
        await page.looks(_WIDTH, round(bottom) + 20, ratio=_RATIO)
        await page.value("document.getElementById('fit').click()")
        return await page.picture()


def small(picture: bytes) -> bytes:
    """The same picture in fewer bytes."""
    file = io.BytesIO()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(128, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        file, "PNG", optimize=True
    )
    return file.getvalue()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, help="a report that there is already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = options.report or Path(folder) / "call.html"
        if options.report is None and twilio_frames(["demo", "--keep", folder]) != 0:
            raise SystemExit("expected a demonstration that went well: run this once more")
        picture = small(asyncio.run(taken(report.resolve().as_uri())))
    if len(picture) > _MOST_BYTES:
        raise SystemExit(f"expected {_MOST_BYTES} bytes at most, got {len(picture)}")
    _TARGET.write_bytes(picture)
    print(f"{_TARGET}: {len(picture)} bytes")


if __name__ == "__main__":
    main()
