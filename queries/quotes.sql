-- Trades and quotes: what was bid and asked when a trade was made.
--
--     millstream run queries/quotes.sql
--
-- ASOF JOIN puts each trade beside the last quote of its symbol that is not after it. A quote that comes late corrects the
-- trades behind it at once; `settled` shows each trade once, when the watermarks of both streams have passed it.

CREATE STREAM quotes (symbol TEXT, at TIMESTAMP, bid DECIMAL(8, 2), ask DECIMAL(8, 2), WATERMARK FOR at AS at - INTERVAL '2' SECOND);
CREATE STREAM trades (symbol TEXT, at TIMESTAMP, price DECIMAL(8, 2), size INT, WATERMARK FOR at AS at - INTERVAL '2' SECOND);

CREATE MATERIALIZED VIEW priced AS
SELECT t.symbol, t.at, t.price, t.size, q.at AS quoted, q.bid, q.ask, t.price - (q.bid + q.ask) / 2 AS above_middle
FROM trades t LEFT ASOF JOIN quotes q MATCH_CONDITION (t.at >= q.at) ON t.symbol = q.symbol;

CREATE MATERIALIZED VIEW settled AS SELECT symbol, at, price, bid, ask FROM priced EMIT ON WINDOW CLOSE;

INSERT INTO quotes VALUES
    ('ACME', '2026-03-02 09:30:00', 99.90, 100.10), ('ACME', '2026-03-02 09:30:03', 100.00, 100.20),
    ('BIRD', '2026-03-02 09:30:01', 20.00, 20.10);
INSERT INTO trades VALUES
    ('ACME', '2026-03-02 09:30:02', 100.10, 300), ('ACME', '2026-03-02 09:30:04', 100.10, 100),
    ('BIRD', '2026-03-02 09:30:00.5', 20.05, 50), ('BIRD', '2026-03-02 09:30:04', 20.00, 70);

SELECT symbol, at, price, quoted, bid, ask, above_middle FROM priced ORDER BY symbol, at;

-- A quote comes a second late: the trade behind it was made at the bid.
INSERT INTO quotes VALUES ('ACME', '2026-03-02 09:30:03.5', 100.10, 100.30);
SELECT symbol, at, price, quoted, bid, ask, above_middle FROM priced ORDER BY symbol, at;

-- Nothing before 09:30:10 is to come: these trades are final.
INSERT INTO quotes VALUES ('ACME', '2026-03-02 09:30:12', 100.20, 100.40);
INSERT INTO trades VALUES ('ACME', '2026-03-02 09:30:12', 100.40, 10);
SELECT * FROM settled ORDER BY symbol, at;

-- Of the quotes, those that a trade to come may look at stay: the last one of each symbol.
EXPLAIN priced;
VERIFY;
