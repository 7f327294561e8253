"""Settings of ClickHouse: which server, as whom, how its tables are spread; `liqheat.platform.settings` is the tree."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from liqheat.platform.section import Section
from liqheat.platform.settings_beside import Port


class ClickHouse(Section):
    """Where the sink writes: a server (`http`), or ClickHouse inside the process (`chdb`)."""

    interface: Literal["http", "chdb"] = Field(
        "http", description="a server over HTTP, or ClickHouse inside the process"
    )
    host: str = Field("127.0.0.1", description="name or address of the server")
    port: Port = Field(8123, description="its HTTP port (8443 is usual with TLS)")
    secure: bool = Field(False, description="TLS to the server")
    ca_file: Path | None = Field(None, description="certificate authority that signed the server")
    username: str = Field("default", description="user that writes, or reads for the queries")
    password: SecretStr | None = Field(None, description="its password")
    database: str = Field("liqheat", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,60}$", description="holds all tables and views")
    writer_password: SecretStr | None = Field(None, description="for `migrate --users`: of liqheat_writer, the sink")
    reader_password: SecretStr | None = Field(None, description="for `migrate --users`: of liqheat_reader, services")
    grafana_password: SecretStr | None = Field(None, description="for `migrate --users`: of liqheat_grafana")
    data_directory: Path | None = Field(None, description="where chdb keeps its data")
    cluster: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,60}$", description="ON CLUSTER name")
    shard_database: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,60}$",
        description="for a cluster of several shards: holds each shard's own tables; set before the first `migrate`",
    )
    readers_memory_bytes: int = Field(
        3_000_000_000, ge=100_000_000, description="memory that all readers together may use; the writer needs the rest"
    )

    @property
    def stored_database(self) -> str:
        """The database whose tables hold the rows; `database` reads and writes them, through a cluster's shards."""
        return self.shard_database or self.database

    @model_validator(mode="after")
    def _shards_are_of_a_cluster(self) -> "ClickHouse":
        if self.shard_database is not None and self.cluster is None:
            raise ValueError(
                "Expected LIQHEAT_CLICKHOUSE__CLUSTER beside SHARD_DATABASE: shards are those of a cluster"
            )
        if self.shard_database == self.database:
            raise ValueError(
                f"Expected another SHARD_DATABASE than {self.database}, which holds what is over all shards"
            )
        return self
