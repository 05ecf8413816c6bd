-- The ten highest bids of each auction.
SELECT auction, bidder, price, date_time, place
FROM (
    SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time) AS place FROM bid
) AS ranked
WHERE place <= 10
