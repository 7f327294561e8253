"""Binance: raw messages, mapper and feed."""
