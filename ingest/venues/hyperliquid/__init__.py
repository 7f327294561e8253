"""Hyperliquid: raw messages, mapper and feed."""
