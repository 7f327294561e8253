"""Unit tests reach no socket: a test that needs one belongs to `tests/integration`."""

import socket
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to listen on or connect to an internet address, loopback included."""
    bind, connect = socket.socket.bind, socket.socket.connect

    def refuse(self: socket.socket, address: Any, original: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise OSError(f"A unit test reached for the address {address}; move it to tests/integration")
        original(self, address)

    monkeypatch.setattr(socket.socket, "bind", lambda self, address: refuse(self, address, bind))
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: refuse(self, address, connect))
