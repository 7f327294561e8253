"""dYdX v4: raw messages, mapper and feed."""
