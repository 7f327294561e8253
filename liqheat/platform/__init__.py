"""What every stage runs on: settings, codec, topics, errors, metrics, logging, clock, health, Kafka clients.

It knows Kafka and the process, and no stage.
"""
