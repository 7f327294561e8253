-- What followed once price met a large cluster, less what followed like moments, with its 95 % interval.
SELECT if(symbol = 'all', 'all symbols', symbol) AS "of",
       transform(stage, ['neared', 'entered', 'swept'], ['came near', 'entered', 'swept'], stage) AS "price",
       transform(measure, ['towards', 'volatility', 'executed'], ['return towards it, %', 'volatility, %', 'liquidations, USD'], measure) AS "what followed",
       horizon_minutes AS "after, min", cases, case_mean AS "cases' mean", control_mean AS "like moments' mean",
       difference, difference_low AS "from", difference_high AS "to", effect
FROM evidence
WHERE symbol IN (${symbol:singlequote}, 'all')
ORDER BY symbol = 'all', indexOf(['neared', 'entered', 'swept'], stage), indexOf(['towards', 'volatility', 'executed'], measure),
         horizon_minutes
