"""Asks a ClickHouse server every second or two whether it answers, on a thread of its own.

The sink's client only notices at the next insert, and then waits for its own limits. `/ping` needs no password, so
wrong credentials are the client's to report.
"""

import ssl
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from liqheat.platform.clickhouse import address_of
from liqheat.platform.server_watch import ANSWER_SECONDS, ServerWatch
from liqheat.platform.settings import ClickHouse


class ClickHouseWatch(ServerWatch):
    """Says whether the server answers; a context manager around its thread."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        super().__init__(f"ClickHouse at {address_of(clickhouse)}", partial(ping, clickhouse))


def ping(clickhouse: ClickHouse) -> str | None:
    """Ask once; return None for a good answer, else what was wrong."""
    where = address_of(clickhouse)
    try:
        connection = _connection(clickhouse)
        try:
            connection.request("GET", "/ping")
            answer = connection.getresponse()
            answer.read(100)
        finally:
            connection.close()
    except ssl.SSLError as error:
        return f"The certificate of ClickHouse at {where} is not trusted ({error.reason or error})"
    except TimeoutError:
        return f"ClickHouse at {where} does not answer"
    except (OSError, HTTPException) as error:
        return f"Cannot reach ClickHouse at {where} ({error})"
    return None if answer.status == 200 else f"ClickHouse at {where} answers /ping with {answer.status}"


def _connection(clickhouse: ClickHouse) -> HTTPConnection:
    if not clickhouse.secure:
        return HTTPConnection(clickhouse.host, clickhouse.port, timeout=ANSWER_SECONDS)
    context = ssl.create_default_context(cafile=str(clickhouse.ca_file) if clickhouse.ca_file else None)
    return HTTPSConnection(clickhouse.host, clickhouse.port, timeout=ANSWER_SECONDS, context=context)
