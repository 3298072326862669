"""Pipecat's own command line runs ours."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

typer = pytest.importorskip("typer")
testing = pytest.importorskip("typer.testing")


@pytest.fixture
def pipecat():
    """Runs a command as Pipecat's command line does, which mounts what it finds by its name."""
    (found,) = entry_points(group="pipecat_cli.extensions", name="twilio")
    whole = typer.Typer()
    whole.callback()(lambda: None)
    whole.add_typer(found.load(), name=found.name)
    runner = testing.CliRunner()
    return lambda *line: runner.invoke(whole, ["twilio", *line])


def test_commands_are_listed(pipecat):
    told = pipecat("--help").output

    assert all(name in told for name in ("call", "load", "report", "doctor"))


def test_command_reads_its_own_line(pipecat, tmp_path):
    log = tmp_path / "call.jsonl"
    log.write_text("")

    done = pipecat("report", "--explain", str(log), "--json", str(tmp_path / "no" / "x.json"))
    assert done.exit_code == 2
    assert "make the folder" in done.stderr
    assert "what went wrong" in pipecat("report", "--help").output


def test_exit_status_is_the_commands(pipecat, capfd):
    assert pipecat("call", "http://127.0.0.1:9/twiml").exit_code == 1


def test_extension_loads_in_no_time():
    code = (
        "import sys, twilio_frames.pipecat_extension; "
        "print([m for m in ('pipecat', 'aiohttp', 'numpy', 'argparse') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
