"""SQL of readers: what reads passes, what may write or reach outside is refused with a sentence."""

import pytest

from liqheat.platform.errors import ConfigurationError
from liqheat.platform.read_only_sql import check_reads_only

FUNCTIONS = ["file", "url", "sqlite", "executable", "numbers", "values", "view", "format", "merge", "remote"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "-- the map\nselect * from heatmap limit 5;",
        "WITH latest AS (SELECT 1) SELECT * FROM latest",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SHOW TABLES",
        "DESCRIBE TABLE heatmap",
        "EXPLAIN SELECT 1",
        "SELECT 'INTO OUTFILE' AS text, 'file(1)' AS other FROM numbers(3)",
        "SELECT format('{}', 'x'), replace('INSERT', 'a', 'b')",
        "SELECT file FROM gaps; SELECT 2",
    ],
)
def test_what_reads_passes(query: str) -> None:
    check_reads_only(query, FUNCTIONS)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT 1 INTO OUTFILE '/tmp/x'", "INTO OUTFILE writes a file"),
        ("SELECT 1 into /* */ outfile '/tmp/x'", "INTO OUTFILE writes a file"),
        ("EXPLAIN SELECT 1 INTO\n-- dear\nOUTFILE '/tmp/x'", "INTO OUTFILE writes a file"),
        ("SELECT * FROM sqlite('/tmp/new.db', 't')", "sqlite reaches outside"),
        ("SELECT * FROM `sqlite` ('/tmp/new.db', 't')", "sqlite reaches outside"),
        ("SELECT * FROM \"FILE\"('/etc/passwd')", "FILE reaches outside"),
        ("DESCRIBE TABLE file('/etc/passwd')", "file reaches outside"),
        ("SELECT * FROM view(SELECT * FROM url('http://localhost/'))", "url reaches outside"),
        ("KILL QUERY WHERE 1", "not KILL"),
        ("SELECT 1; SYSTEM SHUTDOWN", "not SYSTEM"),
        ("BACKUP DATABASE liqheat TO File('x')", "not BACKUP"),
        ("INSERT INTO gaps_raw VALUES (1)", "not INSERT"),
        ("SET readonly = 0", "not SET"),
        ("/* SELECT */ DROP TABLE gaps_raw", "not DROP"),
    ],
)
def test_what_may_write_or_reach_outside_is_refused(query: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        check_reads_only(query, FUNCTIONS)
