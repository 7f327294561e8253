"""What the page may ask for is read from its address as people write it."""

import pytest

from liqheat.viewer.request import MapRequest


@pytest.mark.parametrize("text", ["PEPE", "kPEPE", "1000pepe", "PEPE/USDT", "pepe-usdt-swap"])
def test_a_symbol_in_the_address_may_be_written_as_on_a_venue(text: str) -> None:
    assert MapRequest.parse({"symbol": text}).symbol == "PEPE"
