"""The dashboard *Pipeline health*: says whether what the other dashboards show is fresh, whole and readable."""

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

from deploy.grafana.src.limits import BEHIND_ALARM_SECONDS, BEHIND_WARNING_SECONDS
from deploy.grafana.src.panels import GREEN, RED, TABLE, dress, lines, new_dashboard, of_venues, rows, target


def build() -> builder.Dashboard:
    """Return the dashboard."""
    board = new_dashboard(
        "liqheat-health",
        "Pipeline health",
        "Freshness, completeness, gaps and dead letters of the pipeline, by venue.",
        "now-6h",
        "30s",
    )
    board.with_panel(_freshness())
    board.with_panel(
        rows(
            "Silent markets",
            "Markets that wrote within a day and have been silent for ten minutes. They are left out of "
            "every view of now.",
            "health/silent",
        )
    )
    board.with_panel(
        of_venues(
            lines(
                "Minutes per minute",
                "Market minutes written for each minute of time, averaged over symbols: 1 is whole, below 1 has holes.",
                "health/minutes",
                "none",
            )
        )
    )
    board.with_panel(
        of_venues(
            lines(
                "Late rows",
                "Events that came after their minute had closed; they are counted here and in `late_rows`.",
                "health/late_rows",
                "short",
            )
        )
    )
    board.with_panel(
        rows("Gaps", "Holes in the feeds as recorded, and whether REST history filled them.", "health/gaps")
    )
    board.with_panel(
        rows("Dead letters", "Messages that could not be read, by stage and reason.", "health/dead_letters")
    )
    return board


def _freshness() -> stat.Panel:
    thresholds = (
        builder.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps(
            [Threshold(None, GREEN), Threshold(BEHIND_WARNING_SECONDS, "orange"), Threshold(BEHIND_ALARM_SECONDS, RED)]
        )
    )
    panel = (
        stat.Panel()
        .with_target(target("health/freshness", TABLE))
        .unit("s")
        .thresholds(thresholds)
        .reduce_options(common_builder.ReduceDataOptions().values(True))
    )
    return dress(
        panel,
        "Behind",
        "Seconds since the end of the newest minute of each venue's market in the middle. "
        f"Orange from {BEHIND_WARNING_SECONDS} s, red from {BEHIND_ALARM_SECONDS} s.",
        24,
        5,
    )
