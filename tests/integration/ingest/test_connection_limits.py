"""A venue that limits us on a socket, by an error frame or a close's reason, is left alone as long as it asks."""

import asyncio
import time

import pytest
from aiohttp import web

from tests.integration.ingest.test_connection import running
from tests.support.waiting import until

ASKED_SECONDS = 1.0


async def seconds_between_connections(words: str, *, as_frame: bool) -> float:
    """Return how long the runner stays away after a venue has said `words`."""
    opened: list[float] = []

    async def serve(socket: web.WebSocketResponse, number: int) -> None:
        opened.append(time.monotonic())
        await socket.receive_str()
        if number:
            await asyncio.sleep(5.0)
            return
        if as_frame:
            await socket.send_str(words)
        await socket.close(code=1008, message=b"" if as_frame else words.encode())

    async with running(serve):
        await until(lambda: len(opened) == 2)
    return opened[1] - opened[0]


@pytest.mark.parametrize("as_frame", [True, False])
async def test_the_end_of_a_ban_is_waited_for(as_frame: bool) -> None:
    ends_at = round((time.time() + ASKED_SECONDS) * 1_000)
    words = f"Way too many requests; IP banned until {ends_at}."
    if as_frame:
        words = '{"id":1,"error":{"code":-1003,"msg":"%s"}}' % words  # noqa: UP031 - braces of JSON
    assert await seconds_between_connections(words, as_frame=as_frame) > ASKED_SECONDS


async def test_a_close_that_says_nothing_of_limits_is_not_waited_for() -> None:
    assert await seconds_between_connections("going away", as_frame=False) < ASKED_SECONDS
