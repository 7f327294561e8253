"""Round-number prices, which attract stop orders of retail traders.

A round number is a multiple of 0.05 of its decade from 1 to 2, of 0.1 from 2 to 5 and of 0.5 from 5 to 10:
1.05, 43,000 or 0.85 are not alike to the eye at other steps. So they lie 2 % to 10 % apart at every price.
"""

import math


def nearest_round_number(price: float) -> float:
    """Return the round number nearest to `price` (> 0), the lower one of two equally near; $0.0842 -> $0.085."""
    exponent = math.floor(math.log10(price))
    decade = 10.0**exponent
    mantissa = price / decade
    per_decade = 20 if mantissa < 2 else 10 if mantissa < 5 else 2
    steps = math.ceil(mantissa * per_decade - 0.5)
    # Multiplying and dividing by whole powers gives the float nearest to the decimal text.
    return steps / per_decade * decade if exponent >= 0 else steps / (per_decade * 10.0**-exponent)


def distance_percent(round_number: float, price_low: float, price_high: float) -> float:
    """Return how far a round number lies outside a price range, in % of the nearer edge; 0 inside."""
    if round_number < price_low:
        return 100.0 * (price_low - round_number) / price_low
    if round_number > price_high:
        return 100.0 * (round_number - price_high) / price_high
    return 0.0
