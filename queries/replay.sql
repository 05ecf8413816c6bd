-- Replay: the log is the only truth, and every view follows from it.
--
--     millstream run queries/replay.sql --db replay-db
--     millstream replay-db -c "SELECT * FROM monthly ORDER BY month" -c "VERIFY"
--
-- The second command opens the database again. The file is not read again: its events are in the log, and the views
-- are built from them.

CREATE STREAM flights WITH (connector = 'file', path = 'data/flights.json');

-- A view that is declared after the events is filled from history, and then kept.
SELECT count(*) AS flights FROM flights;
CREATE MATERIALIZED VIEW monthly AS
SELECT date_trunc('month', date) AS month, count(*) AS flights, round(avg(delay), 3) AS mean_delay
FROM flights
GROUP BY date_trunc('month', date);
SELECT * FROM monthly ORDER BY month;

-- VERIFY runs the view's query in batch over the whole log and compares, bit for bit. The exit code is 1 where a view
-- differs.
INSERT INTO flights VALUES ('2001-04-01 12:00:00', 5, 100, 'SEA', 'SFO');
VERIFY monthly;
