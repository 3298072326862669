import gc
import os

import pytest
from hypothesis import settings

# Modules are imported faster without a look for garbage, which finds none.
gc.disable()

# Clients of the vendors' own, which talk to servers of this machine, would ask a proxy for them.
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1,localhost,::1"]))

# Half of what Pipecat logs, and nearly all of the time that takes, is for debugging.
os.environ.setdefault("LOGURU_LEVEL", "INFO")

# Tests that several rooms inherit say as much when they fail.
pytest.register_assert_rewrite("tests.fleet.register_suite")

settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, max_examples=40
)
# For a quiet machine: pytest --hypothesis-profile=thorough
settings.register_profile("thorough", settings.get_profile("repeatable"), max_examples=300)
settings.load_profile("repeatable")


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()
    # A call leaves little behind: at Python's own threshold looking for it takes a fortieth of it.
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="session", autouse=True)
def own_clips(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Clips are recorded anew, and not into the user's cache."""
    os.environ["TWILIO_FRAMES_CLIPS"] = str(tmp_path_factory.mktemp("clips"))
