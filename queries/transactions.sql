-- Transactions: several changes as one commit.
--
--     millstream run queries/transactions.sql
--
-- The commit is what the log orders and what views see: all of it or nothing.

CREATE TABLE accounts (owner TEXT PRIMARY KEY, balance BIGINT CHECK (balance >= 0));
CREATE STREAM transfers (payer TEXT, payee TEXT, amount BIGINT);
CREATE MATERIALIZED VIEW total AS SELECT sum(balance) AS money FROM accounts;
INSERT INTO accounts VALUES ('ada', 100), ('bob', 50);
SUBSCRIBE total;

.print -- money moves between accounts, and the total never changes: the view sees no state between
BEGIN;
UPDATE accounts SET balance = balance - 30 WHERE owner = 'ada';
UPDATE accounts SET balance = balance + 30 WHERE owner = 'bob';
INSERT INTO transfers VALUES ('ada', 'bob', 30);
.print -- within the transaction its own changes are seen
SELECT * FROM accounts ORDER BY owner;
COMMIT;

.print -- what is rolled back has never been
BEGIN;
DELETE FROM accounts;
ROLLBACK;
SELECT * FROM accounts ORDER BY owner;

-- After a statement that fails there is nothing but ROLLBACK: no half of a transaction is ever committed.
.bail off
BEGIN;
INSERT INTO transfers VALUES ('bob', 'ada', 500);
UPDATE accounts SET balance = balance - 500 WHERE owner = 'bob';
UPDATE accounts SET balance = balance + 500 WHERE owner = 'ada';
COMMIT;
SELECT * FROM transfers;
