-- Filters and projections: a view that looks at each event on its own.
--
--     millstream run queries/filters.sql
--
-- Such a view needs no state: a commit costs as much as the rows in it, however long the history is.

-- No columns are declared: their names and types are found in the file.
CREATE STREAM weather WITH (connector = 'file', path = 'data/weather.csv');
DESCRIBE weather;

-- Any scalar expression can stand in a view: functions, CASE, COALESCE, casts.
CREATE MATERIALIZED VIEW storms AS
SELECT
    date,
    upper(weather) AS kind,
    wind,
    CASE WHEN wind >= 9 THEN 'gale' ELSE 'strong' END AS force,
    round((temp_max - temp_min) / 2 + temp_min, 1) AS temp_mean
FROM weather
WHERE wind > 8 AND weather IN ('rain', 'snow');

SELECT * FROM storms ORDER BY date;

-- One more event, and the view has it at once. One that the filter refuses changes nothing.
INSERT INTO weather VALUES ('2016-01-01', 12.5, 8.0, 4.0, 10.1, 'rain'), ('2016-01-02', 0.0, 9.0, 3.0, 1.0, 'sun');
SELECT * FROM storms WHERE date >= '2016-01-01';

-- The circuit of a view. `facts` says that rows only ever come and never go; nothing is kept, so the state is empty.
CREATE MATERIALIZED VIEW snow AS SELECT date, precipitation AS millimetres FROM weather WHERE weather = 'snow';
EXPLAIN snow;
