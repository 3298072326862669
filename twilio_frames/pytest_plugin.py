"""A pytest plugin: the fixture ``phone``, which rings a bot and tells what the caller heard.

::

    async def test_greeting(phone):
        call = await phone.ring(bot, "A large latte, please.")
        assert call.heard("anything else")

Installing this package makes the fixture known to every pytest run, so this module imports nothing
that takes time; what rings is imported by the first test that wants to.

With ``twilio_frames_time = "virtual"`` in pytest's settings, coroutine tests run in virtual time
(:mod:`twilio_frames.testing.virtual_time`): as fast as the machine can, and the same on a busy one.
Tests that talk to other processes are marked ``real_time``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from twilio_frames.testing import Phone

__all__ = ["phone"]


@pytest.fixture
def phone() -> "Phone":
    """Rings bots: see :class:`twilio_frames.testing.Phone`."""
    from twilio_frames.testing import Phone

    return Phone()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Makes the setting known."""
    parser.addini(
        "twilio_frames_time",
        "the time of coroutine tests: real, or virtual (needs pytest-asyncio >= 1.5)",
        default="real",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Takes the time over before a ``conftest.py`` imports who keeps a clock."""
    if early_config.getini("twilio_frames_time") == "virtual":
        from twilio_frames.testing.virtual_time import take_over_time

        take_over_time()


def pytest_configure(config: pytest.Config) -> None:
    """Has coroutine tests run in the time that was asked for."""
    config.addinivalue_line("markers", "real_time: runs in real time though others do not")
    match config.getini("twilio_frames_time"):
        case "virtual":
            config.pluginmanager.register(_VirtualTime(), "twilio_frames_virtual_time")
        case "real":
            pass
        case other:
            raise pytest.UsageError(
                f"expected twilio_frames_time = real or virtual, got {other!r}: change it in "
                "pytest's settings"
            )


class _VirtualTime:
    def pytest_collection_finish(self) -> None:
        """Has what espeak-ng says be the same sound in each run, whatever it said before."""
        from twilio_frames.local.synthesiser import espeak_thread

        espeak_thread.is_repeatable = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_asyncio_loop_factories(self, item: pytest.Item) -> dict[str, Callable[[], Any]]:
        """Gives the event loop of a test."""
        from twilio_frames.testing.virtual_time import VirtualEventLoop, new_event_loop

        is_real = item.get_closest_marker("real_time") is not None
        return {"real": new_event_loop} if is_real else {"virtual": VirtualEventLoop}
