-- Millstream in one file: events in, views kept up to date, the events archived.
--
--     millstream run queries/quickstart.sql --db flights-db
--     millstream query flights-db/archive "SELECT count(*) AS flights, min(date), max(date) FROM flights"
--
-- Run it from the folder that holds `queries/` and `data/`: paths are relative to it. A second run reads nothing twice:
-- the events are in the log already, and the views are built from them.

-- A stream is append-only. This one reads a file of real flights; its columns could also be left out and found in
-- the file.
CREATE STREAM IF NOT EXISTS flights (
    date TIMESTAMP,
    delay INT,
    distance INT,
    origin TEXT,
    destination TEXT
) WITH (connector = 'file', path = 'data/flights.json');

-- A materialized view is kept up to date with every commit, at the price of what changed.
CREATE MATERIALIZED VIEW IF NOT EXISTS delays AS
SELECT origin, count(*) AS flights, round(avg(delay), 1) AS mean_delay, max(delay) AS worst
FROM flights
GROUP BY origin;

CREATE MATERIALIZED VIEW IF NOT EXISTS busiest_routes AS
SELECT origin, destination, count(*) AS flights
FROM flights
GROUP BY origin, destination
ORDER BY flights DESC, origin, destination
LIMIT 5;

CREATE MATERIALIZED VIEW IF NOT EXISTS daily AS
SELECT CAST(date AS DATE) AS day, count(*) AS flights, count(*) FILTER (WHERE delay > 15) AS late, sum(distance) AS miles
FROM flights
GROUP BY CAST(date AS DATE);

.print Airports with at least 500 flights, the most delayed first:
SELECT * FROM delays WHERE flights >= 500 ORDER BY mean_delay DESC, origin LIMIT 5;

.print The busiest routes:
SELECT * FROM busiest_routes ORDER BY flights DESC, origin, destination;

.print The first days:
SELECT * FROM daily ORDER BY day LIMIT 3;

-- Every view is recomputed from the log by a batch query and compared, row for row.
VERIFY;

-- The log's sealed segments become Parquet, which any tool can read.
CHECKPOINT;

.print The raw events are now Parquet in the folder `archive` of the database. To query them without it:
.print millstream query :DATABASE/archive "SELECT count(*) AS flights, min(date), max(date) FROM flights"
