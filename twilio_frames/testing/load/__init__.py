"""Many calls at once, from one process at little processor time, and whether the bot bears them.

::

    result = await run_load(LoadPlan(url="ws://127.0.0.1:8000/stream", calls=50, seconds=30))
    print(result.figures.first_audio.p95, result.figures.gaps_per_minute)

The callers are independent of each other: each has its own phase, phrases, pauses and
interruptions, all drawn from one seed. They hear the bot by arithmetic alone (``ear.py``), and
share one clock (``wheel.py``) and the encoded audio of all that they say (``phrases.py``).
"""

from twilio_frames.testing.load.figures import LoadResult, QualityLimits
from twilio_frames.testing.load.run import LoadPlan, run_load
from twilio_frames.testing.load.search import search_largest
from twilio_frames.testing.load.talk import CallerBehaviour

__all__ = [
    "CallerBehaviour",
    "LoadPlan",
    "LoadResult",
    "QualityLimits",
    "run_load",
    "search_largest",
]
