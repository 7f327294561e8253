"""Ingest: one stateless service per venue, from public feeds to the topic `position-events`.

`connection` owns sockets, `poller` REST polling; a venue's `mapper` turns raw frames into events, and `publisher`
batches them to Kafka.
"""
