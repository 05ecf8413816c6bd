-- Recursive queries as views: what is reached from where, kept up to date as connections come and go.
--
--     millstream run queries/recursion.sql
--
-- A change costs what it moves. Cities that are reached only around a circle from each other are gone when the last way
-- into the circle is.

CREATE TABLE trains (departure TEXT, arrival TEXT, minutes INT, PRIMARY KEY (departure, arrival));

INSERT INTO trains VALUES
    ('Lisbon', 'Madrid', 630), ('Madrid', 'Barcelona', 150), ('Barcelona', 'Lyon', 300), ('Lyon', 'Paris', 120),
    ('Paris', 'Lyon', 120), ('Lyon', 'Geneva', 115), ('Geneva', 'Lyon', 115), ('Oslo', 'Stockholm', 320);

-- UNION: each city once, in however many ways it is reached.
CREATE MATERIALIZED VIEW from_lisbon AS
WITH RECURSIVE reached AS (
    SELECT 'Lisbon' AS city
    UNION
    SELECT arrival FROM reached JOIN trains ON departure = city
)
SELECT city FROM reached;

-- UNION ALL: every journey; with a bound, since there are circles.
CREATE MATERIALIZED VIEW journeys AS
WITH RECURSIVE journey AS (
    SELECT arrival AS city, minutes, departure || ' - ' || arrival AS stops, 1 AS trains FROM trains
    WHERE departure = 'Lisbon'
    UNION ALL
    SELECT arrival, journey.minutes + t.minutes, stops || ' - ' || arrival, trains + 1
    FROM journey JOIN trains t ON departure = city
    WHERE trains < 5
)
SELECT city, stops, minutes FROM journey;

CREATE MATERIALIZED VIEW fastest AS SELECT city, min(minutes) AS minutes FROM journeys GROUP BY city;

EXPLAIN MATERIALIZED VIEW from_lisbon;
SELECT * FROM from_lisbon ORDER BY city;
SELECT * FROM fastest ORDER BY minutes;

-- A night train; then no train leaves Spain for France. Lyon, Paris and Geneva still lead to each other.
INSERT INTO trains VALUES ('Madrid', 'Paris', 500);
SELECT * FROM fastest ORDER BY minutes;
DELETE FROM trains WHERE departure = 'Barcelona' OR (departure = 'Madrid' AND arrival = 'Paris');
SELECT * FROM from_lisbon ORDER BY city;
SELECT stops, minutes FROM journeys ORDER BY minutes;

VERIFY;
