"""What the oldest Pipecat that is supported lacks, and this package cannot make good."""

from importlib.metadata import version

import pytest

OLDER_MODEL = "carries an older Silero model, which is less certain of speech at first"
_INSTALLED = tuple(map(int, version("pipecat-ai").split(".")[:2]))


def unless_pipecat_112(lack: str) -> pytest.MarkDecorator:
    """Skips a test with Pipecat 1.12.

    Args:
        lack: What that does not do.
    """
    return pytest.mark.skipif(_INSTALLED < (1, 13), reason=f"Pipecat 1.12 {lack}")
