"""OKX: raw messages, mapper and feed."""
