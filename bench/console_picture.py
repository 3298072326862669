"""Makes ``docs/console.png``: the console with many calls, one of them live.

Needs Chromium and the extra ``test``, and the documentation as ``bench/lighthouse.py`` does::

    python bench/console_picture.py
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from lighthouse import served
from report_picture import small

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.chromium import browser

_TARGET = Path(__file__).parent.parent / "docs" / "console.png"
_IS_TALKING = """
    document.querySelectorAll("#talk .caller").length >= 2
    && document.querySelector("#caller-now").textContent === "speaks"
"""


async def taken(folder: Path) -> bytes:
    """The console while a caller speaks, as PNG."""
    async with served(folder) as found, browser() as page:
        shown = found["console"]
        await page.looks(1180, 900)
        await page.open(shown.url)
        await page.wait_until(shown.ready)
        await page.click(shown.deeds[-1])
        await page.wait_until(_IS_TALKING)
        return await page.picture()


def main() -> None:
    """Makes the picture."""
    with tempfile.TemporaryDirectory() as folder:
        picture = small(asyncio.run(taken(Path(folder))))
    _TARGET.write_bytes(picture)
    print(f"{_TARGET}: {len(picture)} bytes")


if __name__ == "__main__":
    main()
