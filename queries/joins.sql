-- Joins: flights with the airports they leave from and arrive at.
--
--     millstream run queries/joins.sql
--
-- Both sides of a join may change. A new flight finds its airports; a corrected airport corrects every row that was
-- made from it.

CREATE STREAM flights WITH (connector = 'file', path = 'data/flights.json');

-- The columns of a table with a key have to be declared; the file's header says where each is.
CREATE TABLE airports (
    iata TEXT PRIMARY KEY,
    name TEXT,
    city TEXT,
    state TEXT,
    country TEXT,
    latitude DOUBLE,
    longitude DOUBLE
) WITH (connector = 'file', path = 'data/airports.csv');

CREATE MATERIALIZED VIEW between_states AS
SELECT departure.state AS from_state, arrival.state AS to_state, count(*) AS flights, round(avg(delay), 1) AS mean_delay
FROM flights
JOIN airports departure ON flights.origin = departure.iata
JOIN airports arrival ON flights.destination = arrival.iata
WHERE departure.state <> arrival.state
GROUP BY departure.state, arrival.state;

SELECT * FROM between_states ORDER BY flights DESC, from_state, to_state LIMIT 5;

-- A correction of one row of the table reaches the view through the join, in both its roles.
UPDATE airports SET state = 'NJ' WHERE iata = 'JFK';
SELECT * FROM between_states WHERE from_state = 'NJ' ORDER BY flights DESC, to_state LIMIT 3;
VERIFY between_states;

-- A stream joined with itself. The last condition compares the two sides beyond equality.
CREATE MATERIALIZED VIEW both_ways AS
SELECT a.origin, a.destination, count(*) AS pairs
FROM flights a
JOIN flights b ON a.origin = b.destination AND a.destination = b.origin AND a.date = b.date AND a.origin < b.origin
GROUP BY a.origin, a.destination;
SELECT * FROM both_ways ORDER BY pairs DESC, origin, destination LIMIT 3;

-- An outer join keeps airports that no flight leaves from; the first flight that does takes the place of the NULLs.
CREATE MATERIALIZED VIEW departures AS
SELECT state, count(DISTINCT iata) AS airports, count(flights.origin) AS flights
FROM airports
LEFT JOIN flights ON flights.origin = airports.iata
GROUP BY state;
SELECT * FROM departures ORDER BY flights DESC, state LIMIT 3;
EXPLAIN departures;

-- A subquery is a join too: states that no flight leaves from.
CREATE MATERIALIZED VIEW unserved AS
SELECT DISTINCT state FROM airports a
WHERE NOT EXISTS (SELECT 1 FROM airports b JOIN flights ON flights.origin = b.iata WHERE b.state = a.state);
SELECT count(*) AS states FROM unserved;
VERIFY;
