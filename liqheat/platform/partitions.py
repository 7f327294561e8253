"""Which partition of a topic a symbol belongs to: the same as Kafka's keyed partitioner gives its name.

A message that carries many symbols has no key, so its producer names the partition; symbols written by an older
version, with the symbol as key, stay where they are.
"""

from functools import lru_cache

from kafka.partitioner.default import murmur2


@lru_cache(maxsize=65_536)
def partition_of(symbol: str, partitions: int) -> int:
    """Return the partition, 0 to `partitions - 1`, of a symbol: murmur2 of its UTF-8 bytes, as Java's client does."""
    return int((murmur2(symbol.encode()) & 0x7FFFFFFF) % partitions)
