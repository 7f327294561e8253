"""Settings of what runs beside the pipeline; `liqheat.platform.settings` is the tree."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from liqheat.platform.section import Section

Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0)]


class Local(Section):
    """The broker that `demo` and `live` start."""

    broker: Literal["auto", "kafka", "tansu"] = Field(
        "auto", description="auto: Apache Kafka where Java and its jars are, else the embedded Tansu"
    )
    kafka_jars: Path = Field(Path(".cache/kafka/lib"), description="Apache Kafka's jars; `make kafka` puts them there")
    log_megabytes: int = Field(
        64, ge=16, le=100_000, description="size at which Kafka deletes the oldest of a topic's partition"
    )
    memory_megabytes: int = Field(
        2_000, ge=200, description="memory at which an embedded Tansu is restarted empty, since it deletes nothing"
    )


class Grafana(Section):
    """An existing Grafana that `liqheat grafana push` writes to, and how its datasource reaches ClickHouse."""

    url: str = Field("http://127.0.0.1:3000", description="address with scheme")
    token: SecretStr | None = Field(None, description="token of a service account")
    clickhouse_host: str = Field("clickhouse", description="ClickHouse as Grafana reaches it")
    clickhouse_port: Port = Field(9000, description="native protocol")
    clickhouse_secure: bool = Field(False, description="TLS from Grafana to ClickHouse")
    clickhouse_username: str = Field("liqheat_grafana", description="read-only user of the datasource")
    clickhouse_password: SecretStr | None = Field(None, description="its password; kept by Grafana, never shown")


class Viewer(Section):
    """The local web page."""

    host: str = Field("127.0.0.1", description="where the page listens")
    port: Port = Field(8080, description="port of the page")
    hosts: tuple[str, ...] = Field((), description="further names that the page answers to, beside addresses")
    stale_minutes: int = Field(
        5, ge=1, le=1_440, description="age of a venue's latest minute from which it is not current"
    )
    query_threads: int = Field(2, ge=1, le=64, description="queries of the page that run at once")
    maximum_questions: int = Field(256, ge=1, description="answers that may wait or be worked out; more get 503")
    kept_bytes: int = Field(
        128_000_000, ge=1_000_000, description="memory for what pictures share, besides some for finished answers"
    )
    maximum_requests_per_client: int = Field(256, ge=1, description="requests open at once from one address")


class Catalysts(Section):
    """News feeds that are watched for the symbols' names."""

    feeds: tuple[str, ...] = Field((), description="RSS or Atom addresses or files")
    interval: Seconds = Field(300.0, description="seconds between reads of a feed")
    names: dict[str, tuple[str, ...]] = Field({}, description="further names of a symbol, as news write them")


class Study(Section):
    """What `liqheat study` and the view `evidence` count, and how much of its time the sink spends on the view."""

    percent: float = Field(5.0, gt=0, description="clusters count from this share of average daily volume, %")
    near: float = Field(1.0, gt=0, le=20, description="price is near a cluster from this distance on, %")
    days: int = Field(30, ge=1, le=20_000, description="last days that the view `evidence` is made of")
    time_share: float = Field(
        0.01, ge=0, le=0.5, description="share of the time that one sink may take to judge symbols; 0: never"
    )
