"""From which numbers on the pipeline is called slow or broken: panels colour by them, alert rules fire on them.

What makes a cluster worth an alert is decided by the signals stage (`LIQHEAT_SIGNALS__...`); rules only pass that on.
"""

BEHIND_WARNING_SECONDS = 90
"""A venue's newest minute ended this long ago: its feed, the worker or the sink lags."""

BEHIND_ALARM_SECONDS = 300
"""No venue has written a minute for this long: the map is stale."""

DEAD_LETTERS_ALLOWED = 0
"""Unreadable messages of a stage within a quarter of an hour."""
