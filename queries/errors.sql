-- Errors are data: a row on which an expression fails stops the views that need it, and nothing else.
--
--     millstream run queries/errors.sql
--
-- Reading such a view gives the error, as its query in batch would. The log, ingestion and the other views go on, and
-- when the row goes, the view is well again.

CREATE TABLE trips (id INT PRIMARY KEY, miles INT, hours INT);
CREATE MATERIALIZED VIEW speed AS SELECT id, miles / hours AS miles_per_hour FROM trips;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS trips, sum(miles) AS miles FROM trips;
INSERT INTO trips VALUES (1, 120, 2), (2, 90, 3);
SELECT * FROM speed ORDER BY id;

.bail off
-- A division by zero, one day.
INSERT INTO trips VALUES (3, 10, 0);
SELECT * FROM speed ORDER BY id;
SELECT * FROM total;

-- VERIFY agrees: the view fails where its query fails.
VERIFY;

-- The row is corrected, and the view is healed.
UPDATE trips SET hours = 1 WHERE id = 3;
SELECT * FROM speed ORDER BY id;
