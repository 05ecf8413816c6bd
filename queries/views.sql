-- Views on views: each step of a calculation has a name, and is kept on its own.
--
--     millstream run queries/views.sql
--
-- Views that share a part of their plans share the operators, and all views of a database move together: a query
-- over several of them sees all at the same offset.

CREATE STREAM flights WITH (connector = 'file', path = 'data/flights.json');

-- A plain view is a name for a query: nothing is kept for it.
CREATE VIEW departures AS SELECT origin AS airport, CAST(date AS DATE) AS day, delay FROM flights;

CREATE MATERIALIZED VIEW days AS
SELECT airport, day, count(*) AS flights, avg(delay) AS mean_delay
FROM departures
GROUP BY airport, day;

-- A view over a view: the number of bad days of each airport.
CREATE MATERIALIZED VIEW bad_days AS
SELECT airport, count(*) AS days
FROM days
WHERE flights >= 10 AND mean_delay > 20
GROUP BY airport;

SELECT * FROM bad_days ORDER BY days DESC, airport LIMIT 3;
SHOW VIEWS;

-- Events flow through both at once.
INSERT INTO flights SELECT TIMESTAMP '2001-04-01 08:00:00', 240, 0, 'SEA', 'PDX' FROM generate_series(1, 10);
SELECT * FROM bad_days WHERE airport = 'SEA';

-- OR REPLACE gives what the new text gives over the whole history, and views over it follow.
CREATE OR REPLACE MATERIALIZED VIEW days AS
SELECT airport, day, count(*) AS flights, avg(delay) FILTER (WHERE delay > 0) AS mean_delay
FROM departures
GROUP BY airport, day;
SELECT * FROM bad_days ORDER BY days DESC, airport LIMIT 3;

-- What others read cannot be dropped from under them; CASCADE drops them as well.
.bail off
DROP MATERIALIZED VIEW days;
DROP MATERIALIZED VIEW days CASCADE;
SHOW VIEWS;
