-- Upserts: what becomes of a row whose key is there already, and the rows that a statement gives back.
--
--     millstream run queries/upserts.sql
--
-- A plain INSERT of a key that is there takes the place of its row. ON CONFLICT says what else may be done; MERGE does
-- the same for all rows of a query at once. The log gets the change of rows, so that views need not know the statement.

CREATE TABLE likes (post INT PRIMARY KEY, times BIGINT NOT NULL DEFAULT 1);
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS posts, sum(times) AS likes FROM likes;

.print -- a counter: put in once, counted up from then on; RETURNING gives the rows as they are afterwards
INSERT INTO likes (post) VALUES (7), (8) ON CONFLICT (post) DO UPDATE SET times = likes.times + excluded.times RETURNING *;
INSERT INTO likes (post) VALUES (7), (9) ON CONFLICT (post) DO UPDATE SET times = likes.times + excluded.times RETURNING *;

.print -- a post that is known stays as it is
INSERT INTO likes VALUES (7, 100), (10, 100) ON CONFLICT DO NOTHING RETURNING post;

.print -- a day's corrections, merged: likes that were taken back, a post that went, one that is new
CREATE TABLE corrections (post INT, times BIGINT);
INSERT INTO corrections VALUES (7, -1), (8, -1), (11, 3);
MERGE INTO likes AS l USING corrections AS c ON l.post = c.post
WHEN MATCHED AND l.times + c.times = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET times = l.times + c.times
WHEN NOT MATCHED THEN INSERT VALUES (c.post, c.times)
RETURNING merge_action() AS done, l.post, l.times;

.print -- rows of another table, and rows that go
UPDATE likes SET times = 0 FROM corrections AS c WHERE c.post = likes.post AND c.times > 0 RETURNING likes.*;
DELETE FROM likes WHERE times = 0 RETURNING post;
SELECT * FROM total;

-- One statement changes a row once, and says which it would have changed twice.
.bail off
INSERT INTO likes VALUES (7, 1), (7, 1) ON CONFLICT (post) DO UPDATE SET times = excluded.times;
VERIFY;
