"""How far from mid resting orders are added up, and the columns of `liqheat.domain.events.Depth` that hold them.

Mappers add up books by it; the heatmap engine and what predicts cascades read the columns in this order.
"""

DEPTH_DISTANCES = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Distances from mid, in %, nearest first."""

DEPTH_BIDS, DEPTH_ASKS = (
    tuple(f"{side}_{distance:g}".replace(".", "_") + "_usd" for distance in DEPTH_DISTANCES) for side in ("bid", "ask")
)
"""Columns of `Depth` in the order of `DEPTH_DISTANCES`."""
