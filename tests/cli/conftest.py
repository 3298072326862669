import json
import sys
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from loguru import logger

SCHEMA = Path(__file__).parents[2] / "docs" / "command-output.schema.json"


@pytest.fixture(autouse=True)
def own_log():
    """The command logs to the standard error of the test, which is closed behind it."""
    yield
    logger.remove()
    logger.add(sys.__stderr__ or sys.stderr)


@cache
def output_schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))


@pytest.fixture(autouse=True)
def documented_output(tmp_path: Path):
    """What a command has written for programs is as its schema says."""
    yield
    for path in tmp_path.glob("*.json"):
        written = json.loads(path.read_text("utf-8"))
        if isinstance(written, dict) and {"command", "version"} <= written.keys():
            output_schema().validate(written)
