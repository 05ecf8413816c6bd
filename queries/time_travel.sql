-- Time travel: what tables and views were at a commit, and how they came from there to here.
--
--     millstream run queries/time_travel.sql
--
-- Every offset is a moment of the log. A view is its query over the log up to there, so it has a past from before it
-- was made.

CREATE TABLE stock (item TEXT PRIMARY KEY, shelf TEXT, pieces INT);
INSERT INTO stock VALUES ('bolt', 'a', 100), ('nut', 'a', 80), ('gear', 'b', 12);
UPDATE stock SET pieces = pieces - 10 WHERE item = 'bolt';
DELETE FROM stock WHERE item = 'gear';
CREATE MATERIALIZED VIEW shelves AS SELECT shelf, sum(pieces) AS pieces FROM stock GROUP BY shelf;

.print -- now, and at the commit before the UPDATE
SELECT * FROM shelves ORDER BY shelf;
SELECT * FROM shelves AS OF OFFSET 2 ORDER BY shelf;

.print -- one query reads several moments
SELECT shelf, old.pieces AS before, coalesce(new.pieces, 0) AS now, coalesce(new.pieces, 0) - old.pieces AS change
FROM shelves AS OF OFFSET 2 AS old LEFT JOIN shelves AS new USING (shelf) ORDER BY shelf;

.print -- the changes between two commits: a weight of -1 is a row that went, 1 one that came
SELECT _offset, _weight, shelf, pieces FROM changes('shelves', 2, 5) ORDER BY _offset, shelf, _weight;
SELECT item, count(*) AS changes FROM changes('stock') GROUP BY item ORDER BY item;

.print -- a row that was deleted is brought back
INSERT INTO stock SELECT * FROM stock AS OF OFFSET 3 WHERE item = 'gear';

.print -- who has seen the view at offset 5 goes on from there, here by key: what was, and what is
SUBSCRIBE shelves FROM OFFSET 5 AS PATCHES;
UPDATE stock SET shelf = 'c' WHERE item = 'nut';

.print -- a time names the last commit that is not after it; before the first one there is nothing
SELECT count(*) AS items FROM stock FOR SYSTEM_TIME AS OF TIMESTAMP '2020-01-01';
