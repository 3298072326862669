"""Ports of this machine, for programs that cannot be told to choose one."""

import socket

__all__ = ["free_port", "listens"]


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    with socket.create_server((host, 0)) as listening:
        return listening.getsockname()[1]


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0
