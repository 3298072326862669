"""Runs the pages' own modules in Node, where that is installed."""

import base64
import json
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import pytest

NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="expected Node to run JavaScript, got none")


def run_module(module: str, code: str, told: object = None, *, room: str = "server") -> Any:
    """What code gives that sees a module's exports as ``its`` and JSON of ours as ``told``."""
    source = files(f"twilio_frames.{room}").joinpath("assets", module).read_bytes()
    address = f"data:text/javascript;base64,{base64.b64encode(source).decode()}"
    script = f"""
        import {{ readFileSync }} from "node:fs";
        const told = JSON.parse(readFileSync(0, "utf8"));
        const its = await import({json.dumps(address)});
        const given = await (async () => {{ {code} }})();
        console.log(JSON.stringify(given));
    """
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", script],
        input=json.dumps(told), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
