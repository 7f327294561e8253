"""The book of notional at risk by price, and its one-minute windows."""
