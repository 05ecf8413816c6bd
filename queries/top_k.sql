-- Top-k: ORDER BY with LIMIT keeps the best rows, and knows who is next when one of them goes.
--
--     millstream run queries/top_k.sql
--
-- A view is a set of rows and has no order of its own; the order says which rows are in it. Read it with ORDER BY.

CREATE TABLE runs (runner TEXT PRIMARY KEY, seconds DOUBLE);
CREATE MATERIALIZED VIEW podium AS SELECT runner, seconds FROM runs ORDER BY seconds LIMIT 3;

INSERT INTO runs VALUES ('ada', 61.0), ('bob', 59.5), ('cyd', 64.2), ('dan', 60.3), ('eve', 62.0);
SELECT * FROM podium ORDER BY seconds;

-- The first is disqualified: the fourth moves up.
DELETE FROM runs WHERE runner = 'bob';
SELECT * FROM podium ORDER BY seconds;

-- Equal times: what ORDER BY leaves open is decided by the other columns, so the view is the same on every machine.
INSERT INTO runs VALUES ('fay', 62.0), ('gil', 62.0);
UPDATE runs SET seconds = 62.0 WHERE runner = 'eve';
SELECT * FROM podium ORDER BY seconds;

-- The longest delays of real flights. Streams only grow, so that no more rows need be kept than are shown.
CREATE STREAM flights WITH (connector = 'file', path = 'data/flights.json');
CREATE MATERIALIZED VIEW longest AS
SELECT date, origin, destination, delay FROM flights ORDER BY delay DESC, date LIMIT 4 OFFSET 1;
SELECT * FROM longest ORDER BY delay DESC;
EXPLAIN longest;

-- The best of each group: a condition on the number of a row in its partition. No more of a group is kept than is shown.
CREATE MATERIALIZED VIEW worst_of_each AS
SELECT origin, date, destination, delay
FROM flights
QUALIFY row_number() OVER (PARTITION BY origin ORDER BY delay DESC) <= 2;
SELECT * FROM worst_of_each WHERE origin IN ('TUL', 'DFW') ORDER BY origin, delay DESC;
EXPLAIN worst_of_each;

-- The latest of each group. The group is the key of the view.
CREATE MATERIALIZED VIEW latest AS SELECT DISTINCT ON (origin) origin, date, destination FROM flights ORDER BY origin, date DESC;
SELECT * FROM latest WHERE origin = 'TUL';
EXPLAIN latest;
