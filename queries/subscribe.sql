-- SUBSCRIBE: the rows of a view, and then each change of it.
--
--     millstream run queries/subscribe.sql
--
-- A change is a row with a weight: 1 for a row that came, -1 for one that went. The offset is the commit that did it.
-- At the prompt changes appear above the line being typed; in a script, between its statements.

CREATE TABLE stock (item TEXT PRIMARY KEY, shelf TEXT, pieces INT);
CREATE MATERIALIZED VIEW shelves AS SELECT shelf, sum(pieces) AS pieces FROM stock GROUP BY shelf;
INSERT INTO stock VALUES ('bolt', 'a', 100), ('nut', 'a', 80), ('gear', 'b', 12);

.print -- the rows as they are now
SUBSCRIBE shelves;

.print -- one commit, one change: the old row of the shelf goes, the new one comes
UPDATE stock SET pieces = pieces - 10 WHERE item = 'bolt';

.print -- a transaction is one commit, so both shelves change at once
BEGIN;
DELETE FROM stock WHERE item = 'nut';
INSERT INTO stock VALUES ('nut', 'b', 80);
COMMIT;

.print -- a commit that leaves the view as it was is no change
UPDATE stock SET item = item WHERE shelf = 'a';

.unsubscribe shelves
DELETE FROM stock;
.print -- nobody listens any more
