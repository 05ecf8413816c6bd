-- A bank: transfers are the facts, balances follow from them, and what must never be true is a view that stays empty.
--
--     millstream run queries/apps/bank.sql
--
-- A balance in a column can be wrong, and nobody can say since when. Here there are only transfers, in a log that is not
-- rewritten; every balance is their sum. The rules of the house are written as queries for what breaks them. Whoever
-- subscribes to them hears of a breach at the commit that made it.

CREATE TABLE accounts (owner TEXT PRIMARY KEY, overdraft BIGINT NOT NULL DEFAULT 0 CHECK (overdraft >= 0));
CREATE STREAM transfers (
    id INT NOT NULL,
    at TIMESTAMP NOT NULL,
    payer TEXT NOT NULL,
    payee TEXT NOT NULL,
    cents BIGINT NOT NULL CHECK (cents > 0),
    CHECK (payer <> payee)
);

-- Double entry: each transfer is taken from one account and given to another.
CREATE VIEW entries AS
SELECT payer AS owner, id, at, -cents AS cents FROM transfers
UNION ALL
SELECT payee, id, at, cents FROM transfers;

CREATE MATERIALIZED VIEW balances AS
SELECT owner, sum(cents) AS cents, count(*) AS entries FROM entries GROUP BY owner;

CREATE MATERIALIZED VIEW statements AS SELECT owner, id, at, cents FROM entries;
CREATE INDEX ON statements (owner);

-- What must not be: one row for each breach.
CREATE MATERIALIZED VIEW breaches AS
SELECT 'overdrawn' AS rule, b.owner, b.cents
FROM balances b
JOIN accounts a ON a.owner = b.owner
WHERE b.cents < -a.overdraft
UNION ALL
SELECT 'no such account', b.owner, b.cents
FROM balances b
WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.owner = b.owner)
UNION ALL
SELECT 'money from nowhere', NULL, sum(cents)
FROM entries
HAVING sum(cents) <> 0;

-- The mint has no limit: money begins somewhere.
INSERT INTO accounts VALUES ('mint', 1000000000), ('ada', 0), ('bob', 0), ('cleo', 5000), ('dan', 0);
INSERT INTO transfers
SELECT n, TIMESTAMP '2024-03-01 09:00:00' + n * INTERVAL '1 minute', 'mint',
       CASE n WHEN 1 THEN 'ada' WHEN 2 THEN 'bob' WHEN 3 THEN 'cleo' ELSE 'dan' END, 100000
FROM generate_series(1, 4) AS t(n);
INSERT INTO transfers
SELECT n, TIMESTAMP '2024-03-01 09:00:00' + n * INTERVAL '1 minute',
       CASE n % 4 WHEN 0 THEN 'ada' WHEN 1 THEN 'bob' WHEN 2 THEN 'cleo' ELSE 'dan' END,
       CASE n % 3 WHEN 0 THEN (CASE n % 4 WHEN 0 THEN 'bob' ELSE 'ada' END)
                  WHEN 1 THEN (CASE n % 4 WHEN 2 THEN 'dan' ELSE 'cleo' END)
                  ELSE (CASE n % 4 WHEN 3 THEN 'bob' ELSE 'dan' END) END,
       (n * n) % 997 + 1
FROM generate_series(5, 400) AS t(n);

PREPARE pay AS INSERT INTO transfers VALUES ($1, $2, $3, $4, $5);
PREPARE balance AS SELECT cents, entries FROM balances WHERE owner = $1;
PREPARE statement AS SELECT id, at, cents FROM statements WHERE owner = $1 ORDER BY id DESC LIMIT 3;

SELECT owner, cents FROM balances ORDER BY owner;
EXECUTE balance('cleo');
EXECUTE statement('cleo');

.print -- nothing is wrong, and whoever listens will hear when it is
SUBSCRIBE breaches;

.print -- ada spends more than she has: the transfer is a fact, and so is the breach
EXECUTE pay(1001, '2024-03-02 10:00:00', 'ada', 'bob', 999999);
EXECUTE balance('ada');

.print -- a fact is not deleted: a transfer back makes it good, and the breach is gone
EXECUTE pay(1002, '2024-03-02 10:05:00', 'bob', 'ada', 999999);
EXECUTE statement('ada');

.print -- a typing error in a name
EXECUTE pay(1003, '2024-03-02 11:00:00', 'dan', 'boob', 700);
INSERT INTO accounts VALUES ('boob', 0);

.print -- what makes no sense at all is refused before it is a fact
.bail off
EXECUTE pay(1004, '2024-03-02 12:00:00', 'dan', 'dan', 100);
EXECUTE pay(1005, '2024-03-02 12:00:00', 'dan', 'bob', -100);
EXECUTE pay(1006, '2024-03-02 12:00:00', 'dan', 'bob', 0.5);

.print -- the money is all there, and every view is what its query gives over the whole log
SELECT sum(cents) AS money FROM balances;
VERIFY;
