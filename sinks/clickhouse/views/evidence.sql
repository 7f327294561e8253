-- Whether clusters attract price, repel it or do nothing: what followed once price met large ones, against like moments without. Judged by the hour over the last days (LIQHEAT_STUDY__DAYS); one row per symbol, stage, measure and horizon.
SELECT
    symbol, -- Canonical symbol of the coin; all: every symbol together
    stage, -- How price met the cluster: neared (came within near_percent), entered or swept
    measure, -- What followed: towards (return towards the cluster, %), volatility (realised, %) or executed (liquidations of its side, USD)
    horizon_minutes, -- Minutes over which was looked ahead: 5, 15, 60 or 240
    cases, -- Moments of the stage that had like moments to be compared with
    unmatched, -- Moments of the stage that had none
    blocks, -- Blocks of time with a case, out of which the interval is drawn
    block_hours, -- Length of a block, hours
    is_enough, -- Whether there are at least 30 cases in at least 10 blocks; do not judge by less
    if(isNaN(case_mean), NULL, case_mean) AS case_mean, -- Mean of the cases; NULL without any
    if(isNaN(control_mean), NULL, control_mean) AS control_mean, -- Mean of the like moments; NULL without any
    if(isNaN(difference), NULL, difference) AS difference, -- The first less the second; NULL without any
    if(isNaN(difference_low), NULL, difference_low) AS difference_low, -- Lower bound of its 95 % interval; NULL where unknown
    if(isNaN(difference_high), NULL, difference_high) AS difference_high, -- Upper bound of its 95 % interval; NULL where unknown
    multiIf(NOT is_enough, 'too few cases', difference_low > 0, 'more', difference_high < 0, 'less', 'no difference') AS effect, -- more, less, no difference (0 is inside the interval) or too few cases
    verdict, -- attract, repel, nothing or too few cases: the symbol as a whole, by the return in the hour after price came near
    words, -- What is known of the stage, in plain words
    percent_of_adv, -- Size from which clusters were counted, % of the 24 h volume
    near_percent, -- Distance from which price was near one, %
    symbols, -- Symbols that were judged together
    minutes, -- Minutes of which the clusters were known, over these symbols
    start_time, -- Begin of the history that was judged, UTC
    end_time -- Its end, a whole hour, UTC
FROM {database}.evidence_raw FINAL
