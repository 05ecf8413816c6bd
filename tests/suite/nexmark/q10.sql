-- Log to files: each bid with its day and minute, by which files would be parted.
SELECT auction, bidder, price, date_time, extra,
    to_char(date_time, '%Y-%m-%d') AS dt, to_char(date_time, '%H:%M') AS hm
FROM bid
