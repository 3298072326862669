import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REDIS = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")


class RedisServer:
    """The real server, reached by a socket of its own folder."""

    def __init__(self, folder: Path):
        self.socket = folder / "redis"
        self.url = f"unix://{self.socket}"
        quiet = ("--save", "", "--appendonly", "no", "--port", "0", "--dir", str(folder))
        assert REDIS is not None
        self._process = subprocess.Popen(
            [REDIS, *quiet, "--unixsocket", str(self.socket)], stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + 60
        while not self.socket.exists():
            assert time.monotonic() < until, "redis-server does not begin to listen"
            time.sleep(0.01)

    def halt(self) -> None:
        """It goes on listening, and answers nobody."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.go_on()
        self._process.kill()
        self._process.wait(10)
        self.socket.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    # pytest's own folders may be deeper than the path of a socket can be long.
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        yield server
        server.stop()
