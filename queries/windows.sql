-- Window functions, and what EXPLAIN says of a view.
--
--     millstream run queries/windows.sql
--
-- A window function sees the rows of its partition in order. A change touches the rows whose result depends on it: a few
-- for `lag` and for frames of so many rows, those behind the change for running sums and numbers, and otherwise the
-- partition. EXPLAIN says which.

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

CREATE MATERIALIZED VIEW smooth AS
SELECT
    day,
    avg(flights) OVER (ORDER BY day ROWS BETWEEN 3 PRECEDING AND 3 FOLLOWING) AS week,
    lead(flights) OVER (ORDER BY day) AS next
FROM daily;
SELECT * FROM smooth ORDER BY day LIMIT 3;
EXPLAIN smooth;
