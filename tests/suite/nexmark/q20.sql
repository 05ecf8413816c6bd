-- Bids with what they bid on, of one category.
SELECT b.auction, b.bidder, b.price, b.channel, b.date_time AS bid_time, a.item_name, a.description, a.seller, a.expires
FROM bid AS b JOIN auction AS a ON b.auction = a.id
WHERE a.category = 10
