"""Alerts from Kafka to a webhook."""
