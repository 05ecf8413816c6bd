-- A schema that evolves: what is there stays as it is, and views go on to mean what they meant.
--
--     millstream run queries/evolve.sql

CREATE STREAM orders (id INT, item TEXT, cents BIGINT);
CREATE MATERIALIZED VIEW everything AS SELECT * FROM orders;
CREATE MATERIALIZED VIEW revenue AS SELECT item, sum(cents) AS cents FROM orders GROUP BY item;
INSERT INTO orders VALUES (1, 'tea', 250), (2, 'pot', 1900);

-- Events that are in the log have the default, or NULL.
ALTER STREAM orders ADD COLUMN country TEXT DEFAULT 'at', ADD COLUMN discount INT;
INSERT INTO orders VALUES (3, 'tea', 230, 'de', 20);
SELECT * FROM orders ORDER BY id;

-- A view has the columns that it was made with.
SELECT * FROM everything ORDER BY id;

-- Names change; the texts of views stay, and mean the same.
ALTER STREAM orders RENAME COLUMN cents TO price;
ALTER STREAM orders RENAME TO sales;
COMMENT ON STREAM sales IS 'One event for each line of a bill';
COMMENT ON COLUMN sales.price IS 'In cents, before the discount';
INSERT INTO sales (id, item, price) VALUES (4, 'tea', 250);
SELECT * FROM revenue ORDER BY item;
SHOW STREAMS;
DESCRIBE sales;

-- A function is a name for an expression.
CREATE FUNCTION net(gross BIGINT, rate INT) RETURNS BIGINT RETURN gross * 100 / (100 + rate);
CREATE MATERIALIZED VIEW taxes AS SELECT country, sum(price - net(price, 20)) AS cents FROM sales GROUP BY country;
SELECT * FROM taxes ORDER BY country;

.bail off
DROP FUNCTION net;

-- Columns do not go, and do not change their type: the events in the log have them.
ALTER STREAM sales DROP COLUMN item;
ALTER STREAM sales ADD COLUMN vat INT NOT NULL;
.bail on

VERIFY;
