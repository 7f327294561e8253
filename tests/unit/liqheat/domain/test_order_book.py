"""The distances of a depth reading are the columns that its struct has."""

from liqheat.domain.events import Depth
from liqheat.domain.order_book import DEPTH_ASKS, DEPTH_BIDS, DEPTH_DISTANCES


def test_the_columns_are_those_of_the_struct_in_the_order_of_the_distances() -> None:
    fields = Depth.__struct_fields__
    first = fields.index(DEPTH_BIDS[0])
    assert fields[first:] == (*DEPTH_BIDS, *DEPTH_ASKS)
    assert len(DEPTH_BIDS) == len(DEPTH_ASKS) == len(DEPTH_DISTANCES)
    assert tuple(sorted(DEPTH_DISTANCES)) == DEPTH_DISTANCES
