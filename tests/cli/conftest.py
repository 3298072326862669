import sys

import pytest
from loguru import logger


@pytest.fixture(autouse=True)
def own_log():
    """The command logs to the standard error of the test, which is closed behind it."""
    yield
    logger.remove()
    logger.add(sys.__stderr__ or sys.stderr)
