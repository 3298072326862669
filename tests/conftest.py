import os

import pytest
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def own_clips(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Clips are recorded anew, and not into the user's cache."""
    os.environ["TWILIO_FRAMES_CLIPS"] = str(tmp_path_factory.mktemp("clips"))
