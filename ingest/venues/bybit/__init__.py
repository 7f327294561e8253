"""Bybit: raw messages, mapper and feed."""
