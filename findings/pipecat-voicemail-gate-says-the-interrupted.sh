#!/usr/bin/env bash
# Two answers are said where one was wanted, once it is known that a person has answered.
#
# Seen with pipecat-ai 1.14.0: the TTSGate of VoicemailDetector keeps what the bot says until there
# is a verdict, and lets interruptions pass without a look at what it keeps. A reply that was
# interrupted meanwhile, and the one in its place, are both said, one behind the other. And until
# somebody speaks there is no verdict, nor any limit: of a call that is taken up in silence nothing
# is ever said.
#
# For a phone bot: "Hello?", a pause, "Who is it?" takes two turns; whoever said so hears an answer
# to each, and the second cannot know of the first.
# Here: call.run(answering=AnswerPolicy()) holds speech where an interruption drops it, and speaks
# to whoever says nothing after 2 s.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pipecat-ai==1.14.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version

from loguru import logger

logger.remove()

from pipecat.classifiers.base_classifier import BaseClassifier, ChoiceResult
from pipecat.extensions.voicemail.voicemail_detector import VoicemailDetector
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.tests.utils import SleepFrame, run_test

FIRST, SECOND = "Hello, this is Ann.", "Good morning, I am Ann."


class Person(BaseClassifier):
    """Takes whoever speaks for a person."""

    async def _ask(self, state, questions, images=()):
        answer = ChoiceResult(
            choice="conversation", confidence=1.0, probabilities={"conversation": 1.0}
        )
        return dict.fromkeys(questions, answer), None


def reply(text: str) -> list[Frame]:
    sound = TTSAudioRawFrame(bytes(320), 8000, 1)
    return [TTSStartedFrame(), sound, TTSTextFrame(text, "sentence"), TTSStoppedFrame()]


def turn(text: str) -> list[Frame]:
    begin = [UserStartedSpeakingFrame(), InterruptionFrame(), SleepFrame(sleep=0.2)]
    return [*begin, UserStoppedSpeakingFrame(), TranscriptionFrame(text, "", "")]


async def said(*frames: Frame) -> list[str]:
    """What passes the gate within some seconds."""
    detector = VoicemailDetector(classifier=Person(), decision_timeout=1.0)
    pipeline = Pipeline([detector.detector(), detector.gate()])
    down, _ = await run_test(pipeline, frames_to_send=[*frames, SleepFrame(sleep=4)])
    return [frame.text for frame in down if isinstance(frame, TTSTextFrame)]


async def main() -> None:
    both = await said(*turn("Hello?"), *reply(FIRST), *turn("Who is it?"), *reply(SECOND))
    nothing = await said(*reply(FIRST))
    print("to one who has interrupted the first answer:", both)
    print("to one who waits:", nothing)
    seen = both == [FIRST, SECOND] and nothing == []
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
