SELECT DISTINCT venue FROM market_minutes WHERE symbol = ${symbol:singlequote} AND $__timeFilter(window_start) ORDER BY venue
