-- A chain that the known books do not hold has no place of rest: NaN, as every column says what is not known.
ALTER TABLE {database}.cascades_raw {on_cluster}
    COMMENT COLUMN IF EXISTS trigger_rest_percent 'Where that move comes to rest, %, NaN where the known books do not hold it or none is';
