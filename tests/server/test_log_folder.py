"""The folder of the calls' logs is closed to others at the first call."""

import os
import stat
from pathlib import Path

import pytest

from tests.server.site import Open

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")


async def test_folder_nobody_chose_a_mode_for_is_closed(open_site: Open, tmp_path: Path):
    logs = tmp_path / "logs"
    logs.mkdir()
    logs.chmod(0o755)
    site = await open_site(call_logs=logs)
    await site.ask()

    assert stat.S_IMODE(logs.stat().st_mode) == 0o700


async def test_mode_chosen_while_calls_come_stays(open_site: Open, tmp_path: Path):
    logs = tmp_path / "logs"
    logs.mkdir()
    site = await open_site(call_logs=logs)
    await site.ask()
    logs.chmod(0o755)
    await site.ask()

    assert stat.S_IMODE(logs.stat().st_mode) == 0o755
