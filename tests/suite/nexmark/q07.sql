-- Highest bid of each ten seconds.
SELECT b.auction, b.price, b.bidder, b.date_time, b.extra
FROM bid AS b
JOIN (
    SELECT max(price) AS most, date_bin(INTERVAL '10 seconds', date_time) AS window_start
    FROM bid
    GROUP BY window_start
) AS m ON b.price = m.most AND date_bin(INTERVAL '10 seconds', b.date_time) = m.window_start
