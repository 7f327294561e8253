"""Sinks: Kafka topics into stores that people and services query."""
