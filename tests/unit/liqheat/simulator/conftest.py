"""The small exchange of `tests.support.small_exchange`."""

from tests.support.small_exchange import exchange

__all__ = ["exchange"]
