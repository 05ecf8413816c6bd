-- Profiles: events of change folded to what holds now, the people two steps away, and news for those one step away.
--
--     millstream run queries/apps/profiles.sql
--
-- Nobody overwrites a profile here. Somebody says "my city is Oslo now", and that stays said: the stream is the history,
-- the profile is a view of it, and so is what others should hear about.

CREATE STREAM profile_changes (at TIMESTAMP NOT NULL, person INT NOT NULL, field TEXT NOT NULL, value TEXT);
CREATE TABLE connections (one INT, other INT, PRIMARY KEY (one, other), CHECK (one < other));

-- A connection goes both ways.
CREATE VIEW knows AS
SELECT one AS person, other AS friend FROM connections
UNION ALL
SELECT other, one FROM connections;

-- The last word on each field. Events that arrive late take their place by their own time.
CREATE MATERIALIZED VIEW profile_fields AS
SELECT person, field, value, at
FROM (
    SELECT *, row_number() OVER (PARTITION BY person, field ORDER BY at DESC, value) AS age
    FROM profile_changes
)
WHERE age = 1;

-- One row for each person.
CREATE MATERIALIZED VIEW profiles AS
SELECT person,
       max(value) FILTER (WHERE field = 'name') AS name,
       max(value) FILTER (WHERE field = 'city') AS city,
       max(value) FILTER (WHERE field = 'employer') AS employer,
       max(at) AS changed
FROM profile_fields
GROUP BY person;

-- People you may know: friends of friends who are not friends yet, and through how many.
CREATE MATERIALIZED VIEW two_steps AS
SELECT a.person, b.friend AS stranger, count(*) AS through
FROM knows a
JOIN knows b ON b.person = a.friend
WHERE b.friend <> a.person
  AND NOT EXISTS (SELECT 1 FROM knows k WHERE k.person = a.person AND k.friend = b.friend)
GROUP BY a.person, b.friend;

-- News: what was said, where it differs from what was said before.
CREATE MATERIALIZED VIEW news AS
SELECT at, person, field, before, value
FROM (
    SELECT *, lag(value) OVER (PARTITION BY person, field ORDER BY at) AS before
    FROM profile_changes
)
WHERE before IS NOT NULL AND value IS DISTINCT FROM before;

-- Each piece of news, for each of those who know the person.
CREATE MATERIALIZED VIEW alerts AS
SELECT k.friend AS whom, n.at, p.name AS who, n.field, n.before, n.value
FROM news n
JOIN knows k ON k.person = n.person
JOIN profiles p ON p.person = n.person;
CREATE INDEX ON alerts (whom);

-- Twelve people, each with a name, a city and an employer; connected in a ring with a few chords.
INSERT INTO profile_changes
SELECT TIMESTAMP '2024-01-01 00:00:00' + (p * 3 + f) * INTERVAL '1 hour', p,
       CASE f WHEN 0 THEN 'name' WHEN 1 THEN 'city' ELSE 'employer' END,
       CASE f WHEN 0 THEN 'person ' || p
              WHEN 1 THEN (CASE p % 3 WHEN 0 THEN 'Bergen' WHEN 1 THEN 'Oslo' ELSE 'Tromsø' END)
              ELSE (CASE p % 2 WHEN 0 THEN 'Acme' ELSE 'Initech' END) END
FROM generate_series(0, 11) AS people(p), generate_series(0, 2) AS fields(f);
INSERT INTO connections SELECT p, p + 1 FROM generate_series(0, 10) AS people(p);
INSERT INTO connections VALUES (0, 6), (2, 9);

PREPARE profile AS SELECT name, city, employer FROM profiles WHERE person = $1;
PREPARE inbox AS SELECT at, who, field, before, value FROM alerts WHERE whom = $1 ORDER BY at DESC LIMIT 10;
PREPARE says AS INSERT INTO profile_changes VALUES ($1, $2, $3, $4);

EXECUTE profile(5);
.print -- whom 0 may know
SELECT stranger, through FROM two_steps WHERE person = 0 ORDER BY through DESC, stranger;

.print -- 6 moves to Oslo, changes jobs, and says so twice
EXECUTE says('2024-02-01 09:00:00', 6, 'city', 'Oslo');
EXECUTE says('2024-02-02 09:00:00', 6, 'employer', 'Initech');
EXECUTE says('2024-02-03 09:00:00', 6, 'employer', 'Initech');
EXECUTE profile(6);
.print -- those who know 6 have heard of it, once
EXECUTE inbox(0);
EXECUTE inbox(7);
EXECUTE inbox(1);

.print -- an event from January arrives late: the profile stays, the history has one more step
EXECUTE says('2024-01-20 09:00:00', 6, 'city', 'Tromsø');
EXECUTE profile(6);
EXECUTE inbox(7);

.print -- 0 and 6 part ways: the alerts go with the connection, and 0 no longer meets 5 and 7 through 6
DELETE FROM connections WHERE one = 0 AND other = 6;
EXECUTE inbox(0);
SELECT stranger, through FROM two_steps WHERE person = 0 ORDER BY through DESC, stranger;

VERIFY;
