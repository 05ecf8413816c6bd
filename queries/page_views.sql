-- Page views: the visits of a web site and its unique visitors, as an analytics service has them.
--
--     millstream run queries/page_views.sql
--
-- A visit is a session: page views of one visitor, each less than 30 minutes behind the one before. Page views come from
-- browsers, out of order; a visit grows, and two of them become one, until the watermark has passed its end.

CREATE STREAM page_views (
    visitor TEXT, page TEXT, referrer TEXT, at TIMESTAMP,
    WATERMARK FOR at AS at - INTERVAL '1' MINUTE
);

CREATE MATERIALIZED VIEW visits AS
SELECT
    visitor,
    window_start AS began,
    max(at) - window_start AS stayed,
    count(*) AS pages,
    first_value(page ORDER BY at) AS entry,
    last_value(page ORDER BY at) AS exit,
    window_end
FROM SESSION(TABLE page_views PARTITION BY visitor, DESCRIPTOR(at), INTERVAL '30' MINUTES)
GROUP BY visitor, window_start, window_end;

CREATE MATERIALIZED VIEW finished_visits AS SELECT * FROM visits EMIT ON WINDOW CLOSE;

-- How many visits saw one page only, of those that are over.
CREATE MATERIALIZED VIEW bounces AS
SELECT entry, count(*) AS visits, count(*) FILTER (WHERE pages = 1) AS bounced FROM finished_visits GROUP BY entry;

CREATE MATERIALIZED VIEW visitors_per_minute WITH (require_bounded_state = true) AS
SELECT window_start AS minute, count(*) AS views, count(DISTINCT visitor) AS visitors
FROM TUMBLE(TABLE page_views, DESCRIPTOR(at), INTERVAL '1' MINUTE)
GROUP BY window_start, window_end EMIT ON WINDOW CLOSE;

-- The pages of the last five minutes, every minute.
CREATE MATERIALIZED VIEW hot_pages AS
SELECT window_end AS at, page, views FROM (
    SELECT window_start, window_end, page, count(*) AS views,
           rank() OVER (PARTITION BY window_start, window_end ORDER BY count(*) DESC) AS place
    FROM HOP(TABLE page_views, DESCRIPTOR(at), INTERVAL '1' MINUTE, INTERVAL '5' MINUTES)
    GROUP BY window_start, window_end, page
) WHERE place = 1 EMIT ON WINDOW CLOSE;

INSERT INTO page_views VALUES
    ('ann', '/', 'search', '2026-05-04 10:00:05'), ('bob', '/prices', NULL, '2026-05-04 10:00:20'),
    ('ann', '/prices', '/', '2026-05-04 10:00:50'), ('ann', '/order', '/prices', '2026-05-04 10:02:10');
INSERT INTO page_views VALUES
    ('cy', '/', 'search', '2026-05-04 10:03:00'), ('bob', '/', '/prices', '2026-05-04 10:02:30');

SELECT visitor, began, stayed, pages, entry, exit FROM visits ORDER BY visitor;
SELECT * FROM visitors_per_minute ORDER BY minute;

-- Ann comes back after forty minutes: that is another visit.
INSERT INTO page_views VALUES ('ann', '/order', NULL, '2026-05-04 10:42:00');
SELECT visitor, began, stayed, pages, entry, exit FROM visits ORDER BY visitor, began;

-- Nobody else came: half an hour after the last page view the visits are over.
ALTER STREAM page_views ADVANCE WATERMARK TO TIMESTAMP '2026-05-04 11:30:00';
SELECT visitor, began, stayed, pages, entry, exit FROM finished_visits ORDER BY began, visitor;
SELECT * FROM bounces ORDER BY entry;
SELECT * FROM hot_pages ORDER BY at, page;

-- A page view of that time is late, and changes nothing.
INSERT INTO page_views VALUES ('bob', '/order', NULL, '2026-05-04 10:05:00');
SELECT _late_by, visitor, page FROM page_views.late;
VERIFY;
