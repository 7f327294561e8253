"""What the page may ask for is read from its address as people write it."""

import pytest

from liqheat.viewer.request import MapRequest


@pytest.mark.parametrize("text", ["PEPE", "kPEPE", "1000pepe", "PEPE/USDT", "pepe-usdt-swap"])
def test_a_symbol_in_the_address_may_be_written_as_on_a_venue(text: str) -> None:
    assert MapRequest.parse({"symbol": text}).symbol == "PEPE"


def test_filters_in_another_order_or_named_twice_are_the_same_picture() -> None:
    one = MapRequest.parse({"symbol": "TAO", "venues": "okx,bybit,okx", "bands": "5-10x,1-5x"})
    other = MapRequest.parse({"symbol": "TAO", "venues": "bybit,okx", "bands": "1-5x,5-10x"})
    assert one == other
    assert one.venues == ("bybit", "okx")
