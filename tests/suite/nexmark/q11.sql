-- User sessions: how many bids a bidder makes with less than half a second between two. Without event time a session is
-- shown while it lasts.
SELECT bidder, count(*) AS bids, min(date_time) AS start_time, max(date_time) AS end_time
FROM (
    SELECT bidder, date_time, sum(begins) OVER (PARTITION BY bidder ORDER BY date_time) AS session
    FROM (
        SELECT bidder, date_time,
            CASE WHEN date_time - lag(date_time) OVER (PARTITION BY bidder ORDER BY date_time) < INTERVAL '500 milliseconds'
                THEN 0 ELSE 1 END AS begins
        FROM bid
    ) AS marked
) AS numbered
GROUP BY bidder, session
