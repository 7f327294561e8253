"""Raw frames of venues to files, to be replayed through the same mappers."""
