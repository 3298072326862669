from functools import partial

import pytest

from tests.memory.conversation import ALL_PAIRS, SOME_PAIRS, Outcomes, have_talk


@pytest.fixture(params=["some", pytest.param("all", marks=pytest.mark.truth)])
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    """Has a talk with some pairs of a voice and a memory; on a quiet machine with all."""
    return partial(have_talk, pairs=ALL_PAIRS if request.param == "all" else SOME_PAIRS)
