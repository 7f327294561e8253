"""Ingest: one stateless service a venue, from public feeds to the topic `position-events`.

`feed` owns sockets and REST polling, `mapper` turns raw frames into events, `publisher` batches them to Kafka.
"""
