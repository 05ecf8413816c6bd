-- Auctions: hot items, highest bids, new sellers and busy bidders by windows of time, after queries 5, 7, 8, 11
-- and 12 of Nexmark.
--
--     millstream run queries/auctions.sql
--
-- EMIT ON WINDOW CLOSE shows each window once, when the watermark says that it is over. What windows that are over have
-- held is dropped: `require_bounded_state` refuses a view of which that could not be said.

CREATE STREAM person (id INT, name TEXT, at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL '2' SECOND);
CREATE STREAM auction (id INT, seller INT, item TEXT, at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL '2' SECOND);
CREATE STREAM bid (
    auction INT, bidder INT, price INT, at TIMESTAMP, logged TIMESTAMP DEFAULT now(),
    WATERMARK FOR at AS at - INTERVAL '2' SECOND
);

-- Query 5: every two seconds, the auctions with the most bids of the last ten. A bid is in five windows.
CREATE MATERIALIZED VIEW hot_items WITH (require_bounded_state = true) AS
WITH counts AS (
    SELECT window_start, window_end, auction, count(*) AS bids
    FROM HOP(TABLE bid, DESCRIPTOR(at), INTERVAL '2' SECONDS, INTERVAL '10' SECONDS)
    GROUP BY window_start, window_end, auction
)
SELECT c.window_start, c.window_end, c.auction, c.bids
FROM counts AS c
JOIN (SELECT window_start, window_end, max(bids) AS most FROM counts GROUP BY window_start, window_end) AS m
  ON c.window_start = m.window_start AND c.window_end = m.window_end AND c.bids = m.most
EMIT ON WINDOW CLOSE;

-- Query 7: the highest bid of each ten seconds, as far as it is known.
CREATE MATERIALIZED VIEW highest_bids WITH (require_bounded_state = true) AS
SELECT b.window_start, b.auction, b.bidder, b.price, b.at
FROM TUMBLE(TABLE bid, DESCRIPTOR(at), INTERVAL '10' SECONDS) AS b
JOIN (
    SELECT window_start, window_end, max(price) AS price
    FROM TUMBLE(TABLE bid, DESCRIPTOR(at), INTERVAL '10' SECONDS)
    GROUP BY window_start, window_end
) AS m USING (window_start, window_end, price);

-- Query 8: who sells within the same ten seconds as they came.
CREATE MATERIALIZED VIEW new_sellers WITH (require_bounded_state = true) AS
SELECT p.id, p.name, p.window_start
FROM (
    SELECT id, name, window_start, window_end FROM TUMBLE(TABLE person, DESCRIPTOR(at), INTERVAL '10' SECONDS)
    GROUP BY id, name, window_start, window_end
) AS p
JOIN (
    SELECT seller, window_start, window_end FROM TUMBLE(TABLE auction, DESCRIPTOR(at), INTERVAL '10' SECONDS)
    GROUP BY seller, window_start, window_end
) AS a ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end;

-- Query 11: how many bids a bidder made in each session, which ends when none comes for ten seconds.
CREATE MATERIALIZED VIEW bid_sessions WITH (require_bounded_state = true) AS
SELECT bidder, window_start, window_end, count(*) AS bids
FROM SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(at), INTERVAL '10' SECONDS)
GROUP BY bidder, window_start, window_end;

-- Query 12: how many bids a bidder made in each day of processing time. That is a column as well: the time at which the bid was
-- logged, so that the view can be built again from the log.
CREATE MATERIALIZED VIEW bids_logged AS
SELECT bidder, window_start, count(*) AS bids
FROM TUMBLE(TABLE bid, DESCRIPTOR(logged), INTERVAL '1' DAY) GROUP BY bidder, window_start, window_end;

INSERT INTO person VALUES
    (1, 'ada', '2026-03-01 12:00:01'), (2, 'bob', '2026-03-01 12:00:04'), (3, 'cyd', '2026-03-01 12:00:12');
INSERT INTO auction VALUES
    (10, 1, 'lamp', '2026-03-01 12:00:05'), (11, 2, 'vase', '2026-03-01 12:00:11'), (12, 3, 'desk', '2026-03-01 12:00:14');
INSERT INTO bid (auction, bidder, price, at) VALUES
    (10, 4, 20, '2026-03-01 12:00:06'), (10, 5, 25, '2026-03-01 12:00:07'), (11, 4, 90, '2026-03-01 12:00:12'),
    (10, 6, 30, '2026-03-01 12:00:11'), (11, 5, 95, '2026-03-01 12:00:13');

SELECT * FROM hot_items ORDER BY window_start, auction;
SELECT * FROM highest_bids ORDER BY window_start;
SELECT * FROM new_sellers ORDER BY id;

-- A bid out of order takes the place of the highest one; later ones close windows. The one of 12:00:05 comes too late.
INSERT INTO bid (auction, bidder, price, at) VALUES (12, 4, 120, '2026-03-01 12:00:12.5'), (12, 6, 60, '2026-03-01 12:00:21');
INSERT INTO bid (auction, bidder, price, at) VALUES (10, 6, 500, '2026-03-01 12:00:05'), (12, 4, 70, '2026-03-01 12:00:26');

SELECT * FROM hot_items ORDER BY window_start, auction;
SELECT * FROM highest_bids ORDER BY window_start;
SELECT * FROM bid_sessions ORDER BY bidder, window_start;
SELECT bidder, sum(bids) AS bids FROM bids_logged GROUP BY bidder ORDER BY bidder;
SELECT auction, price, at FROM bid.late;
