"""ClickHouse: writer, migrations and the views that the outside reads."""
