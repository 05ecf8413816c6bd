-- Bids of each bidder in ten seconds of processing time, which is the logged time here.
SELECT bidder, count(*) AS bids, date_bin(INTERVAL '10 seconds', logged) AS window_start
FROM bid
GROUP BY bidder, window_start
