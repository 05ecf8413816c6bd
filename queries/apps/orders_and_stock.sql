-- Orders and stock: what is on the shelf, what is promised, what to order next; with corrections that come late.
--
--     millstream run queries/apps/orders_and_stock.sql
--
-- Deliveries, sales and corrections are events: nothing is ever overwritten. A sum over them is the stock; a sum over
-- sums says who the good customers are. Products without any event must show too, which is what outer joins are for.

CREATE TABLE products (sku TEXT PRIMARY KEY, title TEXT NOT NULL, cents BIGINT NOT NULL, reorder_below INT NOT NULL);
CREATE STREAM deliveries (at TIMESTAMP NOT NULL, sku TEXT NOT NULL, quantity INT NOT NULL);
CREATE STREAM order_lines (
    at TIMESTAMP NOT NULL, order_id INT NOT NULL, customer TEXT NOT NULL, sku TEXT NOT NULL, quantity INT NOT NULL
);
-- "We sent 2, not 3": found out days later, and said as an event of its own.
CREATE STREAM corrections (at TIMESTAMP NOT NULL, order_id INT NOT NULL, sku TEXT NOT NULL, quantity INT NOT NULL,
                           reason TEXT NOT NULL);

-- What was really sold: each line with all that was said about it since.
CREATE MATERIALIZED VIEW sold AS
SELECT l.order_id, l.customer, l.sku, l.quantity + coalesce(c.quantity, 0) AS quantity, c.corrections
FROM order_lines l
LEFT JOIN (
    SELECT order_id, sku, sum(quantity) AS quantity, count(*) AS corrections FROM corrections GROUP BY order_id, sku
) c ON c.order_id = l.order_id AND c.sku = l.sku;

-- Every product, also one that was never delivered or never sold.
CREATE MATERIALIZED VIEW stock AS
SELECT p.sku, p.title, p.reorder_below,
       coalesce(d.quantity, 0) AS delivered,
       coalesce(s.quantity, 0) AS sold,
       coalesce(d.quantity, 0) - coalesce(s.quantity, 0) AS on_hand
FROM products p
LEFT JOIN (SELECT sku, sum(quantity) AS quantity FROM deliveries GROUP BY sku) d ON d.sku = p.sku
LEFT JOIN (SELECT sku, sum(quantity) AS quantity FROM sold GROUP BY sku) s ON s.sku = p.sku;

CREATE MATERIALIZED VIEW to_order AS
SELECT sku, title, on_hand, reorder_below - on_hand AS missing FROM stock WHERE on_hand < reorder_below;

-- Events about products that are not in the list, from either side.
CREATE MATERIALIZED VIEW unknown_products AS
SELECT coalesce(d.sku, s.sku) AS sku, d.quantity AS delivered, s.quantity AS sold
FROM (SELECT sku, sum(quantity) AS quantity FROM deliveries GROUP BY sku) d
FULL JOIN (SELECT sku, sum(quantity) AS quantity FROM sold GROUP BY sku) s ON s.sku = d.sku
WHERE NOT EXISTS (SELECT 1 FROM products p WHERE p.sku = coalesce(d.sku, s.sku));

-- Sums, and sums of sums.
CREATE MATERIALIZED VIEW order_totals AS
SELECT s.order_id, s.customer, count(*) AS lines, sum(s.quantity * p.cents) AS cents
FROM sold s
JOIN products p ON p.sku = s.sku
GROUP BY s.order_id, s.customer;

CREATE MATERIALIZED VIEW customers AS
SELECT customer, count(*) AS orders, sum(cents) AS cents, max(cents) AS largest, round(avg(cents), 2) AS average
FROM order_totals
GROUP BY customer;

CREATE MATERIALIZED VIEW customers_by_orders AS
SELECT orders, count(*) AS customers, sum(cents) AS cents FROM customers GROUP BY orders;

INSERT INTO products
SELECT 'sku-' || n, (CASE n % 4 WHEN 0 THEN 'lamp' WHEN 1 THEN 'chair' WHEN 2 THEN 'table' ELSE 'shelf' END) || ' ' || n,
       n * 100 + 99, 20
FROM generate_series(1, 10) AS p(n);
INSERT INTO deliveries
SELECT TIMESTAMP '2024-06-01 06:00:00' + n * INTERVAL '1 day', 'sku-' || (n % 9 + 1), 55 + (n % 4) * 20
FROM generate_series(0, 17) AS d(n);
INSERT INTO order_lines
SELECT TIMESTAMP '2024-06-02 10:00:00' + n * INTERVAL '1 hour', n / 3,
       'customer ' || ((n / 3) * (n / 3) % 13), 'sku-' || ((n * 5 + n / 9) % 9 + 1), n % 7 + 1
FROM generate_series(0, 269) AS l(n);

PREPARE on_hand AS SELECT title, delivered, sold, on_hand FROM stock WHERE sku = $1;
PREPARE order_total AS SELECT customer, lines, cents FROM order_totals WHERE order_id = $1 AND customer = $2;
PREPARE customer AS SELECT orders, cents, largest, average FROM customers WHERE customer = $1;

.print -- a product by its number; the tenth was never delivered and never sold
EXECUTE on_hand('sku-3');
EXECUTE on_hand('sku-10');
SELECT * FROM to_order ORDER BY missing DESC, sku;
SELECT * FROM customers_by_orders ORDER BY orders;
EXECUTE customer('customer 4');

.print -- order 2 was short of a piece, and all of order 11 came back: order, customer and stock follow
SELECT * FROM sold WHERE order_id IN (2, 11) ORDER BY order_id, sku;
EXECUTE order_total(11, 'customer 4');
INSERT INTO corrections
SELECT TIMESTAMP '2024-06-20 12:00:00', order_id, sku, -1, 'one was missing' FROM order_lines
WHERE order_id = 2 AND quantity > 6;
INSERT INTO corrections
SELECT TIMESTAMP '2024-06-21 12:00:00', order_id, sku, -quantity, 'came back' FROM order_lines WHERE order_id = 11;
SELECT * FROM sold WHERE order_id IN (2, 11) ORDER BY order_id, sku;
EXECUTE order_total(11, 'customer 4');
EXECUTE customer('customer 4');

.print -- what to order is heard of as it happens
SUBSCRIBE to_order;
INSERT INTO deliveries VALUES ('2024-07-01 06:00:00', 'sku-10', 25), ('2024-07-01 06:00:00', 'sku-11', 5);
.print -- somebody delivered what nobody sells
SELECT * FROM unknown_products;
INSERT INTO products VALUES ('sku-11', 'stool 11', 999, 3);
SELECT * FROM unknown_products;

VERIFY;
