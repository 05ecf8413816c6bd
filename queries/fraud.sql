-- Fraud: a card is tried with small payments, and then a large one is made, all within ten minutes.
--
--     millstream run queries/fraud.sql
--
-- MATCH_RECOGNIZE looks for rows of one card that follow each other and match a pattern. The view is kept as payments come,
-- also when they come out of order, and says so when a match turns out to be none. `alarms` shows each match once,
-- when the watermark says that no payment can change it any more.

CREATE STREAM payments (
    card INT, at TIMESTAMP, amount DECIMAL(8, 2), shop TEXT,
    WATERMARK FOR at AS at - INTERVAL '1' MINUTE
);

CREATE MATERIALIZED VIEW suspicions AS
SELECT * FROM payments MATCH_RECOGNIZE (
    PARTITION BY card ORDER BY at
    MEASURES
        FIRST(small.at) AS since,
        large.at AS at,
        count(small.*) AS tries,
        sum(small.amount) AS tried,
        large.amount AS amount,
        large.shop AS shop
    PATTERN (small{3,} large) WITHIN INTERVAL '10' MINUTE
    DEFINE
        small AS amount < 5,
        large AS amount > 100 * avg(small.amount)
);

CREATE MATERIALIZED VIEW alarms AS SELECT * FROM suspicions EMIT ON WINDOW CLOSE;

INSERT INTO payments VALUES
    (17, '2026-03-01 12:00:00', 1.00, 'kiosk'),
    (17, '2026-03-01 12:01:10', 2.50, 'kiosk'),
    (42, '2026-03-01 12:01:30', 3.20, 'bakery'),
    (17, '2026-03-01 12:03:00', 1.50, 'tram'),
    (17, '2026-03-01 12:04:20', 899.00, 'jeweller');

-- A match at once, and not yet an alarm.
SELECT card, since, tries, tried, amount, shop FROM suspicions;
SELECT count(*) AS alarms FROM alarms;

-- A payment that comes late, but not too late, stands between: the small ones are no longer followed by the large one.
INSERT INTO payments VALUES (17, '2026-03-01 12:03:30', 60.00, 'grocer');
SELECT count(*) AS suspicions FROM suspicions;

-- Another card, and time passes.
INSERT INTO payments VALUES
    (42, '2026-03-01 12:05:00', 1.10, 'kiosk'), (42, '2026-03-01 12:06:00', 2.00, 'tram'),
    (42, '2026-03-01 12:10:00', 950.00, 'jeweller');
SELECT card, since, tries, tried, amount, shop FROM suspicions;
INSERT INTO payments VALUES (99, '2026-03-01 12:20:00', 12.00, 'bakery');
SELECT card, since, at, amount FROM alarms;

-- What a change costs, and what is kept.
EXPLAIN suspicions;
VERIFY;
