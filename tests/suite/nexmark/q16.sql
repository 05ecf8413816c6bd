-- Channel statistics by day.
SELECT
    channel,
    to_char(date_time, '%Y-%m-%d') AS day,
    max(to_char(date_time, '%H:%M')) AS minute,
    count(*) AS total_bids,
    count(*) FILTER (WHERE price < 1000) AS rank1_bids,
    count(*) FILTER (WHERE price >= 1000 AND price < 5000) AS rank2_bids,
    count(*) FILTER (WHERE price >= 5000) AS rank3_bids,
    count(DISTINCT bidder) AS total_bidders,
    count(DISTINCT bidder) FILTER (WHERE price < 1000) AS rank1_bidders,
    count(DISTINCT auction) AS total_auctions,
    count(DISTINCT auction) FILTER (WHERE price >= 5000) AS rank3_auctions
FROM bid
GROUP BY channel, day
