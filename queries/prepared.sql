-- Prepared statements, and reading by key: the view is the cache.
--
--     millstream run queries/prepared.sql
--
-- A prepared statement is parsed and typed once. A query of one table or view by its key is then a lookup: no scan, no
-- plan, a few microseconds of work however large the view is. In the crate it is `db.prepare(sql)?.query(&[value])?`.

CREATE STREAM flights (origin TEXT, destination TEXT, delay INT);
CREATE MATERIALIZED VIEW delays AS
SELECT origin, count(*) AS flights, round(avg(delay), 1) AS mean_delay FROM flights GROUP BY origin;
CREATE MATERIALIZED VIEW routes AS
SELECT origin, destination, count(*) AS flights FROM flights GROUP BY origin, destination;

.print -- the types of parameters follow from what they stand for; a type may be declared as well
PREPARE fly AS INSERT INTO flights VALUES ($1, $2, $3);
PREPARE delay_at AS SELECT flights, mean_delay FROM delays WHERE origin = $1;
PREPARE between_them (TEXT, TEXT) AS SELECT flights FROM routes WHERE origin = $1 AND destination = $2;

EXECUTE fly('OSL', 'BGO', 12);
EXECUTE fly('OSL', 'TRD', NULL);
EXECUTE fly('BGO', 'OSL', '3');
EXECUTE delay_at('OSL');
EXECUTE delay_at('nowhere');
EXECUTE between_them('BGO', 'OSL');

.print -- the key of a view is what it is grouped by
EXPLAIN EXECUTE delay_at('OSL');
EXPLAIN EXECUTE between_them('BGO', 'OSL');
.print -- a SELECT that names the whole key is a lookup too, but planned each time
EXPLAIN SELECT flights + 1 AS next FROM delays WHERE origin IN ('OSL', 'BGO') AND flights < 10 ORDER BY next;

.print -- a part of the key needs an index
CREATE INDEX ON routes (origin);
PREPARE from_here AS SELECT destination, flights FROM routes WHERE origin = $1 ORDER BY flights DESC, destination LIMIT $2;
EXPLAIN EXECUTE from_here('OSL', 5);
EXECUTE from_here('OSL', 5);
SHOW INDEXES;

.print -- values that do not fit are refused
.bail off
EXECUTE fly('OSL', 'BGO');
EXECUTE fly('OSL', 'BGO', 1.5);
EXECUTE delay_at(7);
DEALLOCATE ALL;
EXECUTE delay_at('OSL');
