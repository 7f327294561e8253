-- What is known of clusters, in words: of the symbol, and of all symbols together.
SELECT if(symbol = 'all', 'all symbols', symbol) AS "of",
       transform(stage, ['neared', 'entered', 'swept'], ['came near', 'entered', 'swept'], stage) AS "price",
       cases, blocks AS "blocks of time", if(is_enough, verdict, 'too few cases') AS "clusters", words AS "in words",
       start_time AS "from", end_time AS "to"
FROM evidence
WHERE symbol IN (${symbol:singlequote}, 'all') AND measure = 'towards' AND horizon_minutes = 60
ORDER BY symbol = 'all', indexOf(['neared', 'entered', 'swept'], stage)
