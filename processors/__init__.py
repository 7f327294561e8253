"""Processors: pure engines over the position-event log, and the thin Faust driver that feeds them."""
