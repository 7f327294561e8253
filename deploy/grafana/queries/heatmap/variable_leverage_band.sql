SELECT arrayJoin(['1-5x', '5-10x', '10-25x', '25-50x', '50x+']) AS leverage_band
