-- One name for what an alert is about: kind, in messages, table and view.
ALTER TABLE {database}.alerts_raw {on_cluster} RENAME COLUMN IF EXISTS rule TO kind;
