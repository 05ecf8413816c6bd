-- Aggregates stay exact while rows are inserted, updated and deleted.
--
--     millstream run queries/aggregates.sql
--
-- A table differs from a stream in that its rows have a key, and can change. Each change is an event in the log too.

CREATE TABLE orders (
    id INT PRIMARY KEY,
    customer TEXT NOT NULL,
    item TEXT,
    price DECIMAL(8, 2) CHECK (price >= 0),
    paid BOOLEAN DEFAULT false
);

CREATE MATERIALIZED VIEW customers AS
SELECT
    customer,
    count(*) AS orders,
    count(DISTINCT item) AS items,
    sum(price) AS total,
    min(price) AS cheapest,
    max(price) AS dearest,
    sum(price) FILTER (WHERE NOT paid) AS owed
FROM orders
GROUP BY customer
HAVING count(*) > 1;

INSERT INTO orders VALUES
    (1, 'ada', 'tea', 4.20, true),
    (2, 'ada', 'tea', 4.40, false),
    (3, 'bob', 'rye', 2.10, true),
    (4, 'bob', NULL, 9.99, true),
    (5, 'cyd', 'oat', 1.00, true);
.print -- cyd has one order only, so HAVING leaves her out
SELECT * FROM customers ORDER BY customer;

-- The dearest order goes: the maximum falls back to what is left.
DELETE FROM orders WHERE id = 4;
.print -- bob has one order left
SELECT * FROM customers ORDER BY customer;

-- An INSERT of a key that is there replaces its row; an UPDATE moves a row from one group to another.
INSERT INTO orders (id, customer, item, price) VALUES (5, 'cyd', 'oat', 1.50);
UPDATE orders SET customer = 'cyd', paid = true WHERE id = 2;
.print -- ada has one order left, cyd has two
SELECT * FROM customers ORDER BY customer;

-- Without GROUP BY there is one row always, even over nothing.
CREATE MATERIALIZED VIEW turnover AS SELECT count(*) AS orders, sum(price) AS total FROM orders;
DELETE FROM orders;
.print -- nothing is left
SELECT * FROM turnover;
SELECT * FROM customers;
