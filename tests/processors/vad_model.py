"""Which Silero model is heard with: Pipecat's own, and that of 1.12 is another one."""

from importlib.metadata import version

import pytest

needs_the_later_model = pytest.mark.skipif(
    tuple(map(int, version("pipecat-ai").split(".")[:2])) < (1, 13),
    reason="Pipecat 1.12 carries an older Silero model, which is less certain of speech at first",
)
