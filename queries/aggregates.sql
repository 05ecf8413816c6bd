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

-- Any aggregate function is kept up to date. Variances and the like come from exact sums; `first_value` and the functions
-- that list or sort keep the rows of each group.
CREATE MATERIALIZED VIEW habits AS
SELECT
    customer,
    round(stddev_pop(price), 4) AS spread,
    median(price) AS middle,
    bool_and(paid) AS all_paid,
    string_agg(item, ', ' ORDER BY price DESC) AS items,
    last_value(item ORDER BY id) AS latest
FROM orders
GROUP BY customer;
SELECT * FROM habits ORDER BY customer;
UPDATE orders SET price = 7, item = 'rum' WHERE id = 3;
SELECT * FROM habits ORDER BY customer;


-- ROLLUP: the customers, and all of them together.
CREATE MATERIALIZED VIEW shares AS
SELECT customer, grouping(customer) AS is_total, sum(price) AS total FROM orders GROUP BY ROLLUP (customer);
SELECT * FROM shares ORDER BY is_total, customer;
VERIFY shares;
EXPLAIN shares;

-- Without GROUP BY there is one row always, even over nothing.
CREATE MATERIALIZED VIEW turnover AS SELECT count(*) AS orders, sum(price) AS total FROM orders;
DELETE FROM orders;
.print -- nothing is left
SELECT * FROM turnover;
SELECT * FROM customers;
