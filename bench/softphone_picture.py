"""Makes ``docs/softphone.png``: somebody talks over the demonstration's bot, from a browser.

Its microphone plays what they say; needs Chromium, the extra ``local``, and a quiet machine, for
the picture tells how long each answer took::

    python bench/softphone_picture.py
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from report_picture import small

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.chromium import browser
from tests.testing.test_softphone_in_chromium import recording, shop

_TARGET = Path(__file__).parent.parent / "docs" / "softphone.png"
_SAID: tuple[float | str, ...] = (
    *(6.0, "A small cappuccino with honey, please."),
    *(3.7, "Actually, make it a large.", 60.0),
)
"""Seconds of silence, and words."""
_IS_ANSWERED = """
    document.querySelectorAll("#talk .bot").length >= 3
    && document.querySelector("#talk li:last-child .words").firstChild.textContent.length > 30
"""


async def taken(folder: Path) -> bytes:
    """The page while the bot gives its second answer, as PNG."""
    microphone = await recording(folder / "order.wav", *_SAID)
    async with shop(folder / "calls") as url, browser(microphone=microphone) as page:
        await page.looks(1100, 740)
        await page.open(url)
        await page.click("#call")
        await page.wait_until(_IS_ANSWERED, 60)
        return await page.picture()


async def make() -> None:
    """Makes the picture."""
    with tempfile.TemporaryDirectory() as folder:
        picture = small(await taken(Path(folder)))
    _TARGET.write_bytes(picture)
    print(f"{_TARGET}: {len(picture)} bytes")


if __name__ == "__main__":
    asyncio.run(make())
