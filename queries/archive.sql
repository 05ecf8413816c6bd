-- The archive: raw events as Parquet files, for any tool.
--
--     millstream run queries/archive.sql --db archive-db
--     millstream query archive-db/archive "SELECT weather, count(*) AS days FROM weather GROUP BY weather ORDER BY days DESC"
--     millstream query archive-db/archive "SELECT city, degrees, _weight FROM thermometers ORDER BY _offset, _weight" --format csv
--
-- The queries above need neither the log nor the database's lock, and work on a copy of the folder too. So does
-- whatever else reads Parquet: DuckDB, pandas, Spark.

CREATE STREAM weather WITH (connector = 'file', path = 'data/weather.csv');

CREATE TABLE thermometers (city TEXT PRIMARY KEY, degrees DOUBLE);
INSERT INTO thermometers VALUES ('Seattle', 7.5), ('Portland', 9.0);
UPDATE thermometers SET degrees = 8.0 WHERE city = 'Seattle';

-- Seals the log's present segment and archives it. Closing the database does so as well, and so does the log whenever
-- a segment has grown to 64 MiB.
CHECKPOINT;

-- Here a table shows its present rows; its archive holds every change, each with its offset, time and weight.
SELECT * FROM thermometers ORDER BY city;
