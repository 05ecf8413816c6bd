-- New users who sell within the ten seconds in which they came.
SELECT p.id, p.name, p.window_start
FROM (
    SELECT id, name, date_bin(INTERVAL '10 seconds', date_time) AS window_start FROM person GROUP BY id, name, window_start
) AS p
JOIN (
    SELECT seller, date_bin(INTERVAL '10 seconds', date_time) AS window_start FROM auction GROUP BY seller, window_start
) AS a ON p.id = a.seller AND p.window_start = a.window_start
