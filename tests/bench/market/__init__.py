"""A load like the real markets', sent to the real services at real speed: `python -m tests.bench.market --help`."""
