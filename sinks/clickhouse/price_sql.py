"""The price grid in SQL: what `liqheat.domain.price_grid.lower_edge` computes, bit for bit.

Views name a bucket by its number; these expressions give its edges, by integer operations, one multiplication and one
division, in the same order as there; and the number of the bucket that holds a price.
"""

from liqheat.domain.price_grid import BUCKETS_PER_DECADE

_FIRST_DECADE = -13
_LAST_DECADE = 12


def lower_edge_sql(fine_bucket: str) -> str:
    """Return the SQL of the lower edge (USD per coin, Float64) of the fine bucket whose number `fine_bucket` gives."""
    place = f"(toInt32({fine_bucket}) + {-_FIRST_DECADE * BUCKETS_PER_DECADE})"
    decade = f"intDiv({place}, {BUCKETS_PER_DECADE}) + 1"
    step = f"({place} % {BUCKETS_PER_DECADE})"
    decades = range(_FIRST_DECADE, _LAST_DECADE + 1)
    times = ", ".join(f"1e{max(number - 3, 0)}" for number in decades)
    over = ", ".join(f"1e{max(3 - number, 0)}" for number in decades)
    # 1,000 to 1,999 in steps of 1, 2,000 to 4,998 in steps of 2, 5,000 to 9,995 in steps of 5.
    mantissa = f"(1000 + {step} + greatest({step} - 1000, 0) + 3 * greatest({step} - 2500, 0))"
    return f"{mantissa} * [{times}][{decade}] / [{over}][{decade}]"


def bucket_sql(price: str) -> str:
    """Return the SQL of the number (Int32) of the fine bucket that holds `price`, USD per coin.

    For prices clear of every edge by a billionth at least: logarithm and division round.
    """
    decade = f"toInt32(floor(log10({price})))"
    mantissa = f"({price} * 1000 / exp10({decade}))"
    place = f"multiIf({mantissa} < 2000, {mantissa} - 1000, {mantissa} < 5000, {mantissa} / 2, {mantissa} / 5 + 1500)"
    return f"({decade} * {BUCKETS_PER_DECADE} + toInt32(floor({place})))"
