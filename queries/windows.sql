-- Window functions, and what EXPLAIN says of a view.
--
--     millstream run queries/windows.sql
--
-- Every deterministic SELECT can be a view. What has no incremental operator yet runs through Recompute, which keeps
-- its input and runs the batch plan again after each change: right from the first day, and dear when the input is
-- large. So let cheap operators come before it.

CREATE STREAM flights WITH (connector = 'file', path = 'data/flights.json');

CREATE MATERIALIZED VIEW daily AS
SELECT CAST(date AS DATE) AS day, count(*) AS flights, sum(distance) AS miles FROM flights GROUP BY CAST(date AS DATE);

-- The window function sees 90 rows, not 20,000: it is over a view.
CREATE MATERIALIZED VIEW trend AS
SELECT
    day,
    flights,
    sum(miles) OVER (ORDER BY day) AS miles_so_far,
    flights - lag(flights) OVER (ORDER BY day) AS more_than_before,
    rank() OVER (ORDER BY flights DESC) AS place
FROM daily;

SELECT * FROM trend ORDER BY day LIMIT 4;

-- A change of an early day moves every later sum.
INSERT INTO flights VALUES ('2001-01-01 23:59:00', 0, 1000000, 'SEA', 'MOON');
SELECT * FROM trend ORDER BY day LIMIT 2;
VERIFY trend;

-- The circuit: each operator above the ones it reads, with what is known of its rows and what it keeps. `shared` are
-- the operators that another view, here `daily`, uses as well.
CREATE MATERIALIZED VIEW places AS SELECT day, rank() OVER (ORDER BY flights DESC) AS place FROM daily;
EXPLAIN places;
