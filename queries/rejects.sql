-- Nothing is dropped in silence: rows that do not fit are kept, with the reason.
--
--     millstream run queries/rejects.sql
--
-- The stream is declared with stricter types than the file has. Its good rows are read; the others are rows of
-- `system.rejects`, with the file and the line they come from.

CREATE STREAM weather (
    date DATE NOT NULL,
    precipitation DECIMAL(2, 1),
    temp_max DOUBLE CHECK (temp_max < 35),
    temp_min DOUBLE,
    wind DECIMAL(2, 1) CHECK (wind < 9),
    weather TEXT
) WITH (connector = 'file', path = 'data/weather.csv');

SELECT count(*) AS accepted FROM weather;

-- Position is the line in the file; `text` is what stood there.
SELECT position, reason, text FROM system.rejects ORDER BY position LIMIT 3;
SELECT regexp_replace(reason, '''.*''', '...') AS reason, count(*) AS rows
FROM system.rejects
GROUP BY 1
ORDER BY 1;
SELECT position, reason, text FROM system.rejects WHERE reason LIKE 'check%' ORDER BY position;

-- Rejected rows are a stream like any other: views can be made over them.
CREATE MATERIALIZED VIEW complaints AS SELECT object, count(*) AS rows FROM system.rejects GROUP BY object;
SELECT * FROM complaints;

-- A statement is refused as a whole, with the reason: nothing of it is kept.
.bail off
INSERT INTO weather VALUES ('2016-01-01', 1, 2, 3, 4, 'sun'), (NULL, 1, 2, 3, 4, 'sun');
SELECT count(*) AS accepted FROM weather;
