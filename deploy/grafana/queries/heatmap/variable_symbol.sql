SELECT DISTINCT symbol FROM market_minutes WHERE window_start > now() - INTERVAL 1 DAY ORDER BY symbol
