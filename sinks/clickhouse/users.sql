-- Who may do what, least privilege first; `liqheat migrate --users` runs it as an administrator, again after upgrades.
-- Passwords come as SHA-256, so that no server log ever holds one. GRANT ... WITH REPLACE OPTION takes back what an
-- older version granted. A statement about the tables that the sink writes, or reads, is
-- repeated for each of them (see tables.py).

-- The datasource plugin sets max_execution_time on every query, and a plain readonly user may set nothing at all.
CREATE SETTINGS PROFILE OR REPLACE liqheat_reader {on_cluster} SETTINGS
    readonly = 1,
    max_execution_time = 60 MIN 1 MAX 120 CHANGEABLE_IN_READONLY,
    max_result_rows = 5000000 MIN 1 MAX 5000000 CHANGEABLE_IN_READONLY,
    result_overflow_mode = 'throw',
    -- Filters on a table's key are applied before its other columns are read: every view reads FINAL.
    optimize_move_to_prewhere_if_final = 1,
    -- What readers use together leaves room for the sink and for merges, whatever they ask.
    max_memory_usage = {query_memory},
    max_memory_usage_for_user = {user_memory},
    max_concurrent_queries_for_user = 50,
    max_threads = 4 MIN 1 MAX 8 CHANGEABLE_IN_READONLY;

CREATE USER IF NOT EXISTS liqheat_writer {on_cluster} IDENTIFIED WITH sha256_hash BY '{writer_hash}';
ALTER USER liqheat_writer {on_cluster} IDENTIFIED WITH sha256_hash BY '{writer_hash}' DEFAULT DATABASE {database};
-- The sink checks at start which migrations there are; rollups read minutes and hours, the evidence is made of views.
GRANT {on_cluster} SELECT ON {database}.migrations TO liqheat_writer WITH REPLACE OPTION;
GRANT {on_cluster} SELECT ON {database}.{read_table} TO liqheat_writer;
GRANT {on_cluster} INSERT ON {database}.{written_table} TO liqheat_writer;

CREATE USER IF NOT EXISTS liqheat_reader {on_cluster} IDENTIFIED WITH sha256_hash BY '{reader_hash}';
ALTER USER liqheat_reader {on_cluster} IDENTIFIED WITH sha256_hash BY '{reader_hash}'
    DEFAULT DATABASE {database} SETTINGS PROFILE 'liqheat_reader';
GRANT {on_cluster} SELECT ON {database}.* TO liqheat_reader WITH REPLACE OPTION;

CREATE USER IF NOT EXISTS liqheat_grafana {on_cluster} IDENTIFIED WITH sha256_hash BY '{grafana_hash}';
ALTER USER liqheat_grafana {on_cluster} IDENTIFIED WITH sha256_hash BY '{grafana_hash}'
    DEFAULT DATABASE {database} SETTINGS PROFILE 'liqheat_reader';
GRANT {on_cluster} SELECT ON {database}.* TO liqheat_grafana WITH REPLACE OPTION;
-- Grafana's query builder lists these.
GRANT {on_cluster} SELECT ON system.databases TO liqheat_grafana;
GRANT {on_cluster} SELECT ON system.tables TO liqheat_grafana;
GRANT {on_cluster} SELECT ON system.columns TO liqheat_grafana;

-- The page reads as this user: some 50 small queries per second for 200 viewers of 20 symbols.
CREATE QUOTA OR REPLACE liqheat_reader {on_cluster} KEYED BY user_name
    FOR INTERVAL 1 minute MAX queries = 12000, execution_time = 600
    TO liqheat_reader;
