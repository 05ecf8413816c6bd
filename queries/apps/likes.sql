-- Likes: counted per post and per group of friends, read by key; the posts liked most; and all of it taken back.
--
--     millstream run queries/apps/likes.sql
--
-- A counter in a cache drifts: a like that is sent twice counts twice, one that is taken back may never be found again.
-- Here a like is a row. The counts are views, so they are right by what they are, and as fast to read as a cache.

CREATE TABLE likes (post INT, person INT, PRIMARY KEY (post, person));
CREATE TABLE members (circle TEXT, person INT, PRIMARY KEY (circle, person));

CREATE MATERIALIZED VIEW like_counts AS
SELECT post, count(*) AS likes FROM likes GROUP BY post;

-- "12 of your colleagues like this": a person is in several circles, a like counts in each.
CREATE MATERIALIZED VIEW circle_likes AS
SELECT m.circle, l.post, count(*) AS likes
FROM likes l
JOIN members m ON m.person = l.person
GROUP BY m.circle, l.post;

-- Views are made of views.
CREATE MATERIALIZED VIEW top_posts AS
SELECT post, likes FROM like_counts ORDER BY likes DESC, post LIMIT 3;

CREATE MATERIALIZED VIEW top_in_circle AS
SELECT circle, post, likes
FROM (SELECT *, row_number() OVER (PARTITION BY circle ORDER BY likes DESC, post) AS place FROM circle_likes)
WHERE place <= 2;

-- Sixty people in three circles, and about a thousand likes of forty posts.
INSERT INTO members
SELECT CASE n % 3 WHEN 0 THEN 'chess club' WHEN 1 THEN 'colleagues' ELSE 'family' END, (n * 11) % 60
FROM generate_series(0, 89) AS m(n);
INSERT INTO likes
SELECT DISTINCT (n * n / 11 + n / 7) % 40, (n * 17 + n / 60) % 60 FROM generate_series(1, 1500) AS l(n);

PREPARE like_post AS INSERT INTO likes VALUES ($1, $2);
PREPARE unlike_post AS DELETE FROM likes WHERE post = $1 AND person = $2;
PREPARE likes_of AS SELECT likes FROM like_counts WHERE post = $1;
PREPARE likes_by AS SELECT post, likes FROM circle_likes WHERE circle = $1 AND post IN ($2, $3) ORDER BY post;

.print -- the key of a count is what it is grouped by
EXPLAIN EXECUTE likes_of(39);
EXECUTE likes_of(39);
EXECUTE likes_by('chess club', 39, 7);

.print -- the posts liked most, and every change of them from here on
SUBSCRIBE top_posts;
SELECT * FROM top_in_circle ORDER BY circle, likes DESC, post;

.print -- person 61 likes post 39; a like that arrives twice is one like, and nobody hears of it
EXECUTE like_post(39, 61);
EXECUTE like_post(39, 61);
EXECUTE likes_of(39);

.print -- who joins a circle brings all likes along
INSERT INTO members VALUES ('chess club', 61);
EXECUTE likes_by('chess club', 39, 7);

.print -- taken back, it is as if it had never been
EXECUTE unlike_post(39, 61);
EXECUTE likes_of(39);
EXECUTE likes_by('chess club', 39, 7);

.print -- a post that nobody likes any more has no row, and leaves the top
DELETE FROM likes WHERE post = (SELECT min(post) FROM top_posts);
SELECT * FROM top_posts ORDER BY likes DESC, post;

VERIFY;
