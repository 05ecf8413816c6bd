-- Home timelines: what the people you follow have posted, newest first, ready before you ask.
--
--     millstream run queries/apps/home_timelines.sql
--
-- The usual way is to write each post into the timeline of every follower, with queues and workers that fall behind, and
-- other workers for whoever unfollows or deletes. Here a timeline is a view: the newest 100 posts of those a reader
-- follows. Posts, follows, unfollows and deletions are plain changes of tables, and reading is a lookup.

CREATE TABLE posts (id INT PRIMARY KEY, author INT NOT NULL, posted TIMESTAMP NOT NULL, body TEXT NOT NULL);
CREATE TABLE follows (follower INT, followed INT, PRIMARY KEY (follower, followed));

-- The place of a post in the timeline is not a column: one new post would move all that are below it. What is kept is
-- which posts are among the newest 100; the reader puts a few of them in order.
CREATE MATERIALIZED VIEW timelines AS
SELECT reader, post, author, posted, body
FROM (
    SELECT f.follower AS reader, p.id AS post, p.author, p.posted, p.body,
           row_number() OVER (PARTITION BY f.follower ORDER BY p.posted DESC, p.id DESC) AS place
    FROM follows f
    JOIN posts p ON p.author = f.followed
)
WHERE place <= 100;

-- A reader has many rows, so the reader alone is no key of the view. An index finds them all the same.
CREATE INDEX ON timelines (reader);

-- Twenty people, each following seven or eight others; five hundred posts, a minute apart.
INSERT INTO follows
SELECT follower, (follower + step * step) % 20 AS followed
FROM generate_series(0, 19) AS p(follower), generate_series(1, 8) AS s(step)
WHERE (follower + step * step) % 20 <> follower
GROUP BY 1, 2;
INSERT INTO posts
SELECT id, (id * 7 + id / 20) % 20, TIMESTAMP '2024-05-01 08:00:00' + id * INTERVAL '1 minute', 'post number ' || id
FROM generate_series(1, 500) AS p(id);

PREPARE home AS
SELECT post, author, posted, body FROM timelines WHERE reader = $1 ORDER BY posted DESC, post DESC LIMIT $2;

.print -- no scan: the rows of one reader are found, and a few of them put in order
EXPLAIN EXECUTE home(3, 5);
EXECUTE home(3, 5);

.print -- each timeline ends at 100 posts
SELECT min(n) AS shortest, max(n) AS longest FROM (SELECT count(*) AS n FROM timelines GROUP BY reader);

.print -- author 4 posts, and the post is on top for those who follow 4; the oldest of the 100 has made room for it
PREPARE post AS INSERT INTO posts VALUES ($1, $2, $3, $4);
EXECUTE post(501, 4, '2024-05-01 17:00:00', 'good evening');
EXECUTE home(3, 2);
SELECT count(*) AS posts, min(post) AS oldest FROM timelines WHERE reader = 3;

.print -- 3 unfollows 4: the posts of 4 go, and older ones of others take their places
DELETE FROM follows WHERE follower = 3 AND followed = 4;
EXECUTE home(3, 2);
SELECT count(*) AS posts, min(post) AS oldest FROM timelines WHERE reader = 3;

.print -- a post that is deleted is gone from everybody's timeline
SELECT count(DISTINCT reader) AS readers FROM timelines WHERE post = 500;
DELETE FROM posts WHERE id = 500;
SELECT count(DISTINCT reader) AS readers FROM timelines WHERE post = 500;
EXECUTE home(3, 2);

.print -- after all this, the view is what its query gives over the whole log
VERIFY;
