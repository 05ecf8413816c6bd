-- Hot items: the auctions with the most bids of ten seconds, every two seconds. A bid is in five windows.
WITH counts AS (
    SELECT b.auction, date_bin(INTERVAL '2 seconds', b.date_time) - h.back AS window_start, count(*) AS num
    FROM bid AS b
    CROSS JOIN (
        VALUES (INTERVAL '0 seconds'), (INTERVAL '2 seconds'), (INTERVAL '4 seconds'), (INTERVAL '6 seconds'),
               (INTERVAL '8 seconds')
    ) AS h(back)
    GROUP BY b.auction, window_start
)
SELECT c.auction, c.window_start, c.num
FROM counts AS c
JOIN (SELECT window_start, max(num) AS most FROM counts GROUP BY window_start) AS m
  ON c.window_start = m.window_start AND c.num = m.most
