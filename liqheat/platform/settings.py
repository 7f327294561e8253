"""Every setting in one frozen tree, read once from the environment (and `.env`), validated with sentences.

Names are `LIQHEAT_` plus the path with two underscores: `LIQHEAT_KAFKA__BOOTSTRAP_SERVERS`. Secrets are
`SecretStr`, so they print as stars; each may come from a file in the folder `LIQHEAT_SECRETS_DIRECTORY`,
named like the variable in lower case (`liqheat_clickhouse__password`).
"""

import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from liqheat.domain.instruments import DEFAULT_WATCH_LIST, as_asked, symbol_asked
from liqheat.domain.market import Venue
from liqheat.domain.price_grid import DEFAULT_FACTOR, check_factor
from liqheat.domain.thresholds import CAUTION_PERCENT_OF_ADV, CLUSTER_MINIMUM_USD, FOCUS_PERCENT
from liqheat.platform.clickhouse_settings import ClickHouse as ClickHouse
from liqheat.platform.environment import in_known_case, plain_sources
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.section import Section
from liqheat.platform.settings_beside import Catalysts as Catalysts
from liqheat.platform.settings_beside import Grafana as Grafana
from liqheat.platform.settings_beside import Local as Local
from liqheat.platform.settings_beside import Port, Seconds
from liqheat.platform.settings_beside import Study as Study
from liqheat.platform.settings_beside import Viewer as Viewer
from liqheat.platform.topics import Topic
from liqheat.platform.venue_settings import VenueAddresses, VenueSections


class Kafka(Section):
    """How to reach Kafka; SASL and TLS pass through to both clients."""

    bootstrap_servers: str = Field("127.0.0.1:9092", description="host:port, several separated by commas")
    topic_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="before every topic and group name, on a shared cluster"
    )
    partitions: int = Field(8, ge=1, le=1_000, description="partitions of the topics keyed by symbol")
    replication_factor: int = Field(1, ge=1, le=10, description="copies of each partition")
    session_seconds: float = Field(
        6.0, ge=1, le=90, description="silence after which a worker or sink is dead and its partitions go to others"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="SASL_SSL or SSL for anything but a private network"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="as the cluster wants it"
    )
    sasl_username: str | None = Field(None, description="user, where the protocol has SASL")
    sasl_password: SecretStr | None = Field(None, description="its password")
    ssl_ca_file: Path | None = Field(None, description="certificate authority that signed the brokers")
    ssl_certificate_file: Path | None = Field(None, description="our own certificate, where brokers ask for one (PEM)")
    ssl_key_file: Path | None = Field(None, description="its key (PEM); the certificate's file if it holds both")
    ssl_key_password: SecretStr | None = Field(None, description="password of the key, where it has one")

    def topic(self, topic: Topic) -> str:
        """Return the name of `topic` on this cluster."""
        return self.topic_prefix + topic.label


_NO_NAME = re.compile(r"[\s;*'\"\[\]{}()<>|]")
"""What no symbol, instrument or pair has: they were meant to part several."""


class Ingest(Section):
    """How feeds are read and batched."""

    symbols: tuple[str, ...] = Field(DEFAULT_WATCH_LIST, description="canonical symbols in any case, or `all`")
    batch_rows: int = Field(500, ge=1, le=100_000, description="most rows in one message")
    batch_age: Seconds = Field(0.25, description="seconds between two looks at what waits to be sent")
    batch_worth_rows: int = Field(64, ge=1, description="rows of a partition that are sent at once")
    batch_quiet_age: Seconds = Field(0.5, description="seconds that fewer rows of a partition wait")
    queue_rows: int = Field(50_000, ge=100, description="rows that may wait; a full queue slows the sockets")
    open_interest_interval: Seconds = Field(15.0, description="seconds between polls per symbol")
    depth: bool = Field(True, description="read order books of the watch list")
    depth_interval: Seconds = Field(10.0, description="seconds between reads of an order book, if the venue allows it")
    depth_markets: int = Field(50, ge=1, le=500, description="most order books per venue")
    liquidation_interval: Seconds = Field(
        2.0, description="seconds between reads of liquidations per symbol, where REST has what the stream leaves out"
    )
    turnover_interval: Seconds = Field(60.0, description="seconds between reads of the 24 h turnover")
    reference_interval: Seconds = Field(3_600.0, description="seconds between reads of contracts and margin tiers")
    reconnect_after: Seconds = Field(82_800.0, description="seconds of one connection; venues cut at 24 h")
    silence_limit: Seconds = Field(30.0, description="seconds without a frame before a connection is replaced")
    connections: int = Field(1, ge=1, le=50, description="most WebSocket connections per venue")
    backfill: str = Field("0h", pattern=r"^\d+[mhdMHD]$", description="history read by REST before going live")

    @field_validator("symbols")
    @classmethod
    def _symbols_in_any_case(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not any(name.strip() for name in value):
            raise ValueError("Expected at least one symbol, or `all`")
        for name in value:
            if _NO_NAME.search(name.strip()):
                raise ValueError(f"Expected symbols, each as BTC or BTC/USDT, or `all`, was {name!r}")
        return tuple(dict.fromkeys(as_asked(name) for name in value if name.strip()))


class Engine(Section):
    """The estimate itself."""

    grid_factor: int = Field(DEFAULT_FACTOR, description="fine buckets (5-10 bp) joined in one published bucket")
    plausible_price_step: float = Field(
        3.0, gt=1, description="factor by which a mark or trade may change; beyond it, it is held until confirmed"
    )
    plausible_interest_step: float = Field(10.0, gt=1, description="the same factor of open interest")
    warm_up_hours: float = Field(
        24.0, ge=0, description="hours of a market's past before its estimate counts as warmed up"
    )
    lateness_ms: int = Field(2_000, ge=0, le=45_000, description="how long a window waits for late events")
    closing_spread_ms: int = Field(15_000, ge=0, le=15_000, description="by how much that wait differs by symbol")
    snapshot_seconds: Seconds = Field(0.5, description="how often the open window is published")
    checkpoint_seconds: Seconds = Field(1.0, description="how often state is written to the changelog")
    dead_letter_limit: int = Field(100, ge=1, description="poison messages in a row that stop the processor")
    maximum_lead_ms: int = Field(
        60_000, gt=0, description="how far event time may run ahead of the time at which the broker took its message"
    )

    @field_validator("grid_factor")
    @classmethod
    def _factor_nests(cls, value: int) -> int:
        return check_factor(value)


class Signals(Section):
    """From map to decision: when a range is a cluster, and when a trader is alerted.

    `overrides` holds other values for single symbols: `{"BTC": {"cluster_usd": 100000000}}`.
    """

    reach_percent: float = Field(
        25.0, gt=0, le=90, description="distance from the mark within which clusters are found"
    )
    dense_factor: float = Field(1.5, gt=1, description="a bucket is dense at this many times its surroundings' mean")
    local_percent: float = Field(
        5.0, gt=0, le=90, description="surroundings: the side in reach, or this far around, whichever is thinner"
    )
    keep_share: float = Field(
        0.7, gt=0, le=1, description="a bucket of a known cluster stays down to this share of dense"
    )
    gap_buckets: int = Field(1, ge=0, le=10, description="thin buckets in a row that do not split a cluster")
    split_share: float = Field(
        0.5, gt=0, lt=1, description="a valley below this share of the lower peak splits a cluster"
    )
    join_share: float = Field(0.7, gt=0, lt=1, description="a split cluster joins again once the valley is above this")
    floor_share: float = Field(0.03, ge=0, lt=1, description="least share of its side's notional, if below cluster_usd")
    clusters_a_side: int = Field(12, ge=1, le=100, description="how many clusters per side are kept, largest first")
    match_share: float = Field(
        0.3, gt=0, le=1, description="shared buckets over the smaller of two that makes them one"
    )
    patience_minutes: int = Field(5, ge=0, le=60, description="minutes a cluster may be missing before it is gone")
    grown_share: float = Field(1.25, gt=1, description="times its last reported size that make it grown")
    shrunk_share: float = Field(0.8, gt=0, lt=1, description="times its last reported size that make it shrunk")
    swept_share: float = Field(0.5, gt=0, le=1, description="share of what it held whose loss to price is a sweep")
    cluster_usd: float = Field(CLUSTER_MINIMUM_USD, gt=0, description="notional from which a cluster may alert (USD)")
    approach_percent: float = Field(FOCUS_PERCENT, gt=0, description="distance at which price approaches a cluster")
    rearm_percent: float = Field(
        1.0, gt=0, description="how far price must leave again before the same alert may come again"
    )
    cooldown_minutes: int = Field(30, ge=0, description="minutes before the same rule speaks of the same cluster again")
    caution_percent: float = Field(CAUTION_PERCENT_OF_ADV, gt=0, description="share of ADV that warrants caution")
    focus_percent: float = Field(FOCUS_PERCENT, gt=0, description="band around the mark that imbalance looks at")
    cascade_factor: float = Field(10.0, gt=1, description="executed in a minute over the usual that makes a cascade")
    cascade_usd: float = Field(
        100_000.0, gt=0, description="least notional executed in a minute that is a cascade (USD)"
    )
    cascade_baseline_minutes: int = Field(240, ge=10, description="minutes over which the usual is remembered")
    cascade_warmup_minutes: int = Field(30, ge=1, description="minutes seen before a cascade can be reported")
    open_interest_percent: float = Field(1.0, gt=0, description="change over an hour from which a venue rises or falls")
    coiled_open_interest_percent: float = Field(
        3.0, gt=0, description="rise over 4 h (%) from which a market is coiled"
    )
    coiled_price_percent: float = Field(1.5, gt=0, description="most that price moved in those 4 h")
    coiled_adv_percent: float = Field(
        5.0, gt=0, description="share of ADV (%) of a cluster near enough to release a coiled market"
    )
    book_refill: float = Field(
        0.3, ge=0, le=10, description="share of absorbed order book that is offered again while a cascade runs"
    )
    fragile_percent: float = Field(3.0, gt=0, le=20, description="move of the mark within which a trigger is fragile")
    fragile_amplification: float = Field(2.0, ge=1.5, description="rest over move from which a trigger is fragile")
    funding_full_rate: float = Field(0.0003, gt=0, description="rate per settlement at which the crowd counts fully")
    lag_minutes: int = Field(
        2, ge=0, le=60, description="minutes the fastest venue may lead before the rest is left behind"
    )
    stale_minutes: int = Field(
        5, ge=1, le=1_440, description="minutes without a window after which a venue is not live"
    )
    overrides: dict[str, dict[str, float | int]] = Field({}, description="other values for single symbols")

    @field_validator("overrides")
    @classmethod
    def _overrides_are_settings(cls, value: dict[str, dict[str, float | int]]) -> dict[str, dict[str, float | int]]:
        for changes in value.values():
            if "overrides" in changes:
                raise ValueError("an override holds no overrides")
            cls(**changes)
        found = {symbol_asked(name): changes for name, changes in value.items()}
        if len(found) < len(value):
            raise ValueError(f"two overrides are of one symbol: {', '.join(sorted(value))}")
        return found

    def of(self, symbol: str) -> "Signals":
        """Return the settings that hold for `symbol`."""
        changes = self.overrides.get(symbol)
        return self.model_copy(update=dict(changes)) if changes else self


class Webhook(Section):
    """Where alerts are sent beside the topic; nowhere unless `url` is set."""

    url: SecretStr | None = Field(None, description="address; a secret, since Slack's and Telegram's hold a token")
    shape: Literal["generic", "slack", "telegram"] = Field("generic", description="form of the body")
    secret: SecretStr | None = Field(None, description="key of the HMAC-SHA256 signature header")
    telegram_chat: str | None = Field(None, description="chat id, for the shape telegram")
    timeout: Seconds = Field(10.0, description="seconds that one try may take")
    attempts: int = Field(5, ge=1, le=20, description="tries before an alert is given up and counted")
    maximum_age: Seconds = Field(900.0, description="seconds after which an alert is history and is not sent")
    group: str = Field("liqheat-webhook", description="consumer group that remembers what was sent")


class Sink(Section):
    """How rows are batched into ClickHouse."""

    batch_rows: int = Field(50_000, ge=1, description="most rows in one insert")
    batch_age: Seconds = Field(0.3, description="seconds a row may wait for its batch")
    group: str = Field("liqheat-sink", description="consumer group; all sinks of one database share it")
    join_group: bool = Field(True, description="false: assign all partitions, for a single local sink")
    dead_letter_limit: int = Field(100, ge=1, description="poison messages in a row that stop the sink")
    retention_days: int = Field(30, ge=1, le=20_000, description="days that minute rows are kept")
    hour_retention_days: int = Field(400, ge=1, le=20_000, description="days that 1 h rollups are kept")
    day_retention_days: int = Field(4_000, ge=1, le=20_000, description="days that 1 d rollups are kept")
    record_retention_days: int = Field(
        400, ge=1, le=20_000, description="days that liquidations, gaps and dead letters are kept"
    )
    rollup_interval: Seconds = Field(60.0, description="seconds between rollups of the hours that new rows touched")


class Service(Section):
    """What every process offers for its operators."""

    host: str = Field("127.0.0.1", description="where health and metrics listen")
    port: Port = Field(0, description="port of health and metrics; 0 takes a free one")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least important lines that are written"
    )
    log_style: Literal["json", "console"] = Field("json", description="json for collectors, console for people")


class Settings(VenueSections):
    """The whole tree; `Settings()` reads the environment, `load` adds readable errors."""

    model_config = SettingsConfigDict(
        env_prefix="LIQHEAT_",
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8",
        frozen=True,
        extra="ignore",
    )

    venues: tuple[Venue, ...] = Field(tuple(Venue), description="exchanges that `backfill`, `demo` and `live` read")
    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    ingest: Ingest = Ingest()
    engine: Engine = Engine()
    signals: Signals = Signals()
    webhook: Webhook = Webhook()
    catalysts: Catalysts = Catalysts()
    sink: Sink = Sink()
    study: Study = Study()
    service: Service = Service()
    viewer: Viewer = Viewer()
    local: Local = Local()
    grafana: Grafana = Grafana()

    def addresses_of(self, venue: Venue) -> VenueAddresses:
        """Return where `venue` is reached."""
        section: VenueAddresses = getattr(self, venue.value)
        return section

    @field_validator("venues", mode="before")
    @classmethod
    def _venues_in_any_case(cls, value: Any) -> Any:
        return in_known_case(tuple[Venue, ...], value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class passes it by name
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let lists be written plainly, and secrets come from files too; the environment wins over them."""
        files = NestedSecretsSettingsSource(file_secret_settings, secrets_nested_delimiter="__")
        return init_settings, *plain_sources(settings_cls, dotenv_settings), files


def load() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigurationError: with one sentence a wrong setting, naming its environment variable.
    """
    directory = os.environ.get("LIQHEAT_SECRETS_DIRECTORY")
    if directory and not Path(directory).is_dir():
        raise ConfigurationError(f"LIQHEAT_SECRETS_DIRECTORY names {directory!r}, which is no folder")
    try:
        return Settings(_secrets_dir=directory)
    except SettingsError as error:
        raise ConfigurationError(f"Wrong settings: {error}") from error
    except ValidationError as error:
        sentences = [
            f"{_variable(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False)
        ]
        raise ConfigurationError("Wrong settings: " + "; ".join(sentences)) from error


def _variable(place: tuple[int | str, ...]) -> str:
    """Return the environment variable of a place in the tree; an item of a list belongs to its list."""
    return "LIQHEAT_" + "__".join(part.upper() for part in place if isinstance(part, str))
