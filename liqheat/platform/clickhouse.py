"""The ClickHouse client as the settings want it: a server over HTTP, or the engine inside this process.

The sink, the viewer's composition root and the command open their clients here. Driver exceptions leave as
`TransientError` (try again) or `FatalError` with a sentence (`translated_errors`).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError, ProgrammingError

from liqheat.platform.embedded_clickhouse import ENGINE_OPTIONS
from liqheat.platform.errors import ConfigurationError, FatalError, TransientError
from liqheat.platform.settings import ClickHouse

# Where nothing is set up to log, Python would print the driver's warnings bare beside the sentence of the error.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())

# Codes of src/Common/ErrorCodes.cpp after which the same bytes may be accepted a moment later.
_TRANSIENT_CODES = {
    75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR: the disk has become full since the insert reserved its room
    76,  # CANNOT_OPEN_FILE: the same, as the first file of a part is made
    159,  # TIMEOUT_EXCEEDED
    202,  # TOO_MANY_SIMULTANEOUS_QUERIES
    209,  # SOCKET_TIMEOUT
    210,  # NETWORK_ERROR
    225,  # NO_ZOOKEEPER
    241,  # MEMORY_LIMIT_EXCEEDED
    242,  # TABLE_IS_READ_ONLY
    243,  # NOT_ENOUGH_SPACE
    252,  # TOO_MANY_PARTS
    285,  # TOO_FEW_LIVE_REPLICAS
    319,  # UNKNOWN_STATUS_OF_INSERT: rows are idempotent, so writing them again is right
    394,  # QUERY_WAS_CANCELLED
    425,  # SYSTEM_ERROR
    473,  # DEADLOCK_AVOIDED: ClickHouse asks the client to retry
    999,  # KEEPER_EXCEPTION
}
OVER_SHARDS: dict[str, str | int] = {
    # Rows are on their shard when an insert returns, not in a queue of the server that took them.
    "distributed_foreground_insert": 1,
    # Rollups read what was just written: of each shard the same replica is written to and asked, as long as it answers.
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,
}
"""Settings of every query of those who write, where tables are over the shards of a cluster."""
_MISSING_SCHEMA_CODES = {16, 60, 81}  # NO_SUCH_COLUMN_IN_TABLE, UNKNOWN_TABLE, UNKNOWN_DATABASE
_DENIED_CODES = {192, 193, 194, 497, 516}  # unknown user, wrong or missing password, access denied, authentication


def address_of(clickhouse: ClickHouse) -> str:
    """Return where the database is, for people: `host:port`, or the data directory."""
    if clickhouse.interface == "chdb":
        return str(clickhouse.data_directory or "memory")
    return f"{clickhouse.host}:{clickhouse.port}"


@contextmanager
def translated_errors(clickhouse: ClickHouse) -> Iterator[None]:
    """Turn the driver's exceptions into liqheat's.

    Raises:
        TransientError: no connection, or the server, or this machine, is overloaded, read-only or short of something.
        ConfigurationError: wrong credentials, or the tables are missing.
        FatalError: anything else; the sentence is ClickHouse's own.
    """
    where = address_of(clickhouse)
    try:
        yield
    except DatabaseError as error:
        if error.code in _TRANSIENT_CODES:
            raise TransientError(f"ClickHouse at {where} refused for now: {error}") from error
        if error.code in _MISSING_SCHEMA_CODES:
            raise ConfigurationError(f"ClickHouse at {where} lacks a table; run `liqheat migrate` ({error})") from error
        if error.code in _DENIED_CODES:
            raise ConfigurationError(
                f"ClickHouse at {where} refused {clickhouse.username!r}; set LIQHEAT_CLICKHOUSE__USERNAME and "
                f"LIQHEAT_CLICKHOUSE__PASSWORD to a user with the rights ({error})"
            ) from error
        if isinstance(error, OperationalError) or error.code is None:
            raise TransientError(f"Cannot reach ClickHouse at {where}: {error}") from error
        raise FatalError(f"ClickHouse at {where}: {error}") from error
    except ClickHouseError as error:
        raise FatalError(f"ClickHouse at {where}: {error}") from error
    except OSError as error:
        # The embedded engine's driver hands it an insert in a temporary file.
        raise TransientError(f"Cannot hand over to ClickHouse at {where}: {error}") from error


def open_clickhouse(clickhouse: ClickHouse, *, readonly: bool = False, threads: int | None = None) -> Client:
    """Connect; unqualified table names then mean the database of the settings, which need not exist yet.

    A client may be shared between threads: its calls wait for one another. Threads that should not wait open
    one each; in `chdb` all clients of a process share the one engine, and must name the same data directory.
    With `readonly` every statement that writes, or reaches outside the database, is refused. `threads` is how many the
    embedded engine takes for one query; many small queries cost much less with one. A server decides by itself.

    Raises:
        TransientError: the server does not answer.
        ConfigurationError: wrong credentials; or the data directory is missing or held by another process.
    """
    if clickhouse.interface == "chdb":
        client = _open_chdb(clickhouse, readonly, threads)
    else:
        with translated_errors(clickhouse):
            client = clickhouse_connect.get_client(
                interface="https" if clickhouse.secure else "http",
                host=clickhouse.host,
                port=clickhouse.port,
                username=clickhouse.username,
                password=clickhouse.password.get_secret_value() if clickhouse.password else "",
                ca_cert=str(clickhouse.ca_file) if clickhouse.ca_file else None,
                client_name="liqheat",
                connect_timeout=5,
                settings=_session(clickhouse, readonly),
                # A session would make the server refuse a second thread's query while one runs.
                autogenerate_session_id=False,
            )
    client.database = clickhouse.database
    return client


def _session(clickhouse: ClickHouse, readonly: bool) -> dict[str, str | int] | None:
    """Return the settings of every query to a server; a read-only user may set none, and has a profile for it."""
    if readonly:
        return {"readonly": 1}
    return OVER_SHARDS if clickhouse.shard_database else None


def _open_chdb(clickhouse: ClickHouse, readonly: bool, threads: int | None) -> Client:
    if clickhouse.data_directory is None:
        raise ConfigurationError("The interface chdb needs LIQHEAT_CLICKHOUSE__DATA_DIRECTORY, a folder for its data")
    directory = clickhouse.data_directory
    # Filters on a table's key are applied before its other columns are read, also where rows are replaced (FINAL).
    # Times are UTC in every column; without this, chdb would show some in the machine's own zone.
    settings: dict[str, str | int] = {"session_timezone": "UTC", "optimize_move_to_prewhere_if_final": 1}
    if threads is not None:
        settings["max_threads"] = threads
    if readonly:
        # Readers of one engine share its memory with the sink; after the last setting none can be changed.
        settings["max_memory_usage"] = clickhouse.readers_memory_bytes // 3
        settings["readonly"] = 1
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return clickhouse_connect.get_client(
            interface="chdb", path=str(directory), settings=settings, chdb_options=ENGINE_OPTIONS
        )
    except OSError as error:
        raise ConfigurationError(f"Cannot make the data directory {directory}: {error.strerror}") from error
    except (ProgrammingError, DatabaseError) as error:
        raise ConfigurationError(
            f"Cannot open the ClickHouse data in {directory}: another process holds it (one at a time may), "
            f"or this process has opened another folder before ({error})"
        ) from error
    except ImportError as error:
        raise ConfigurationError(
            'Embedded ClickHouse is not installed; `pip install "liqheat[local]"`, or point '
            "LIQHEAT_CLICKHOUSE__HOST at a server with LIQHEAT_CLICKHOUSE__INTERFACE=http"
        ) from error
