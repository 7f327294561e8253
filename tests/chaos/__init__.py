"""Random faults on the whole pipeline: real processes, Apache Kafka, simulated venues, one ClickHouse engine."""
