SELECT DISTINCT symbol FROM market_hours
WHERE hour > now() - INTERVAL 1 DAY AND window_start <= now() + INTERVAL 2 MINUTE ORDER BY symbol
