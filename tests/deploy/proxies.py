"""The templates' proxies as they are, with the workers of a test behind them."""

import asyncio
import shutil
import signal
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.ports import free_port, listens
from tests.waiting import until

__all__ = ["DEPLOY", "KUBERNETES", "Proxy", "free_port", "in_front", "needs"]

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes" / "base"
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1;
events {{ worker_connections 128; }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/phone.conf;
}}
"""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


class Proxy:
    """A proxy that runs."""

    def __init__(self, folder: Path, stack: AsyncExitStack):
        self._folder = folder
        self._stack = stack
        self._port = free_port()
        self._process: asyncio.subprocess.Process
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start_haproxy(self, workers: Mapping[str, str]) -> None:
        text = (DEPLOY / "compose" / "haproxy.cfg").read_text("utf-8")
        text = text.replace("bind :8080", f"bind 127.0.0.1:{self._port}")
        text = text.replace("inter 1s fall", "inter 50ms fall")
        for name, address in workers.items():
            text = text.replace(f"{name}:8000", address)
        (self._folder / "haproxy.cfg").write_text(text)
        await self._start("haproxy", "-db", "-f", str(self._folder / "haproxy.cfg"))

    async def start_nginx(self, workers: Mapping[str, str]) -> None:
        text = (DEPLOY / "nginx" / "phone.conf").read_text("utf-8")
        for name, address in workers.items():
            text = text.replace(f"{name}:8000", address)
        await self._start_nginx(text)

    async def start_kubernetes(self, workers: Mapping[str, str]) -> None:
        """What the cluster does besides, a name's address and a service, is done here."""
        names = {f"{name}.bots.phone.svc.cluster.local": a for name, a in workers.items()}
        asked = await Names.opened({name: a.partition(":")[0] for name, a in names.items()})
        self._stack.callback(asked.close)
        text = (KUBERNETES / "phone.conf.template").read_text("utf-8")
        text = text.replace("${NAMESPACE}", "phone")
        text = text.replace("${NGINX_LOCAL_RESOLVERS}", f"127.0.0.1:{asked.port}")
        servers = " ".join(f"server {address};" for address in workers.values())
        text = text.replace("server bot:8000;", servers)
        # One port is all pods'.
        (port,) = {address.partition(":")[2] for address in workers.values()}
        await self._start_nginx(text.replace(":8000", f":{port}"))

    async def _start_nginx(self, text: str) -> None:
        text = text.replace("listen 8080", f"listen 127.0.0.1:{self._port}")
        (self._folder / "phone.conf").write_text(text.replace("/var/log/nginx", str(self._folder)))
        main = self._folder / "nginx.conf"
        main.write_text(NGINX.format(folder=self._folder))
        await self._start("nginx", "-p", str(self._folder), "-c", str(main))

    async def reload(self) -> None:
        """What is new is taken by what was started anew, which marks its answers."""
        config = self._folder / "haproxy.cfg"
        if config.exists():
            marked = "frontend phone\n    http-response set-header X-Anew yes"
            config.write_text(config.read_text().replace("frontend phone", marked))
            old = str(self._process.pid)
            await self._start("haproxy", "-db", "-f", str(config), "-sf", old)
            return
        config = self._folder / "nginx.conf"
        config.write_text(config.read_text().replace("http {", "http { add_header X-Anew yes;"))
        self._process.send_signal(signal.SIGHUP)

    async def answers_anew(self, session: aiohttp.ClientSession) -> bool:
        """Whether a request comes to what was started anew; it is answered in any case."""
        async with session.get(f"{self.url}/healthz") as answer:
            assert answer.status == 200
            return "X-Anew" in answer.headers

    async def _start(self, program: str, *arguments: str) -> None:
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            shutil.which(program) or program, *arguments, stdout=quiet, stderr=quiet
        )
        self._stack.push_async_callback(_ended, self._process)

        await until(lambda: listens(self._port))


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


@asynccontextmanager
async def in_front(kind: str, folder: Path, workers: Mapping[str, str]) -> AsyncIterator[Proxy]:
    """Runs a template's proxy before workers.

    Args:
        kind: ``haproxy``, ``nginx``, or ``kubernetes``, whose workers share a port.
        folder: For its configuration.
        workers: Their hosts and ports, by the names that the template gives them.
    """
    async with AsyncExitStack() as stack:
        proxy = Proxy(folder, stack)
        await getattr(proxy, f"start_{kind}")(workers)
        yield proxy


class Names(asyncio.DatagramProtocol):
    """Tells the addresses of names, as a cluster does."""

    def __init__(self, names: Mapping[str, str]):
        self._names = names

    @classmethod
    async def opened(cls, names: Mapping[str, str]) -> "Names":
        loop = asyncio.get_running_loop()
        _, self = await loop.create_datagram_endpoint(
            lambda: cls(names), local_addr=("127.0.0.1", 0)
        )
        return self

    @property
    def port(self) -> int:
        return self._transport.get_extra_info("sockname")[1]

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, at = [], 12
        while length := data[at]:
            name.append(data[at + 1 : at + 1 + length].decode())
            at += 1 + length
        address = self._names.get(".".join(name))
        is_asked = data[at + 1 : at + 3] == b"\0\1"
        # RFC 1035: an answer, of one record by the question's name; or that there is no such name.
        flags = 0x8180 if address else 0x8183
        head = data[:2] + struct.pack("!5H", flags, 1, bool(address and is_asked), 0, 0)
        record = b""
        if address and is_asked:
            record = struct.pack("!3HIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
        self._transport.sendto(head + data[12 : at + 5] + record, addr)
