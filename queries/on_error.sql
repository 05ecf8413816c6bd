-- Views that leave out failing rows, and list them with the reason.
--
--     millstream run queries/on_error.sql
--
-- One bad row should not always stop a view. With on_error = 'skip' it is left out and kept in `system.errors`, with the
-- offset of the commit since which it fails, until it is corrected.

CREATE TABLE readings (id INT PRIMARY KEY, sensor TEXT, value TEXT);
CREATE MATERIALIZED VIEW warmest WITH (on_error = 'skip') AS
SELECT sensor, count(*) AS readings, max(CAST(value AS DOUBLE)) AS warmest FROM readings GROUP BY sensor;

INSERT INTO readings VALUES (1, 'roof', '21.5'), (2, 'roof', '23'), (3, 'cellar', '12.25');
INSERT INTO readings VALUES (4, 'cellar', 'n/a'), (5, 'roof', '24.5');
SELECT * FROM warmest ORDER BY sensor;
SELECT * FROM system.errors;

-- VERIFY runs the query in batch without the failing rows.
VERIFY warmest;

-- The row is corrected: it counts, and its failure is gone.
UPDATE readings SET value = '13' WHERE id = 4;
SELECT * FROM warmest ORDER BY sensor;
SELECT count(*) AS errors FROM system.errors;
