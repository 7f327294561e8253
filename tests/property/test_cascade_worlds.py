"""Who knows the order book and every level foresees where simulated worlds come to rest."""

from dataclasses import replace

import numpy as np

from liqheat.scoring.cascades import (
    BookDepths,
    ExpectedLevels,
    Prediction,
    score_cascades,
)
from liqheat.simulator.order_book import DepthShape
from liqheat.simulator.world import world_of


def test_who_knows_book_and_levels_foresees_what_worlds_do() -> None:
    def chain(book: BookDepths, levels: ExpectedLevels, move: float) -> Prediction:
        depths = book.bids_usd if move < 0 else book.asks_usd
        here = (levels.prices < book.middle) == (move < 0)
        distance = np.abs(np.log(levels.prices[here] / book.middle))
        order = np.argsort(distance)
        forced = np.concatenate([[0.0], np.cumsum(levels.usd[here][order])])
        start = reached = abs(np.log1p(move))
        for _ in range(50):
            swept = forced[np.searchsorted(distance[order], reached, side="right")]
            reached = start + np.interp(swept, np.append(0.0, depths), np.append(0.0, book.distances))
        return Prediction(book.middle * np.exp(np.sign(move) * reached), float(reached / start))

    worlds = []
    for seed, depth in ((31, 0.02), (32, 0.01), (33, 0.04)):
        world = world_of(seed)
        shape = DepthShape(depth * world.coin.open_interest_usd, 1.2, 0.2)
        worlds.append(replace(world, depth=shape, people=replace(world.people, traders=1_500)))
    figures = score_cascades(chain, worlds, hours=2)
    assert figures["prediction"].cases == figures["at risk alone"].cases == 30
    assert figures["prediction"].rank_correlation > 0.7
    assert figures["prediction"].median_rest_error < 1.0
