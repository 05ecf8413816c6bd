//! Nexmark: its 23 queries (`nexmark/*.sql`) as live views, all at once, over an auction house's events.
//!
//! The generator is our own: of fifty events one is a person, three are auctions and the rest are bids, a millisecond or
//! more apart, with favourites among sellers, auctions and bidders. Windows are spelled with `date_bin`, so that a window
//! never closes: q05, q06, q07, q08, q09 and q11 show what is so far, where the benchmark shows a window or an auction once it
//! is over. The processing time of q12 is a column that is logged with the event, and q14 counts letters with the
//! functions that there are. `cargo test --release --test suite -- --ignored nexmark --nocapture` takes 200,000 events
//! (`NEXMARK_EVENTS` gives another number), and prints what each view costs.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use crate::workload::{Piece, Workload, queries, with_stack};

/// Events that a debug build bears.
const EVENTS_SMALL: u64 = 3_000;
/// Events of the long test.
const EVENTS: u64 = 200_000;
/// Commits that they come in.
const PIECES: u64 = 6;
/// Views that must hold something: where there is nothing, nothing is compared.
const TELLING_MIN: usize = 23;
/// The first event: 2015-07-15 07:59:50, so that hours change.
const BEGIN_MICROS: i64 = 1_436_947_190_000_000;

const RELATIONS: [(&str, &str); 4] = [
    ("person", "CREATE STREAM person (id BIGINT, name TEXT, email TEXT, city TEXT, state TEXT, date_time TIMESTAMP)"),
    (
        "auction",
        "CREATE STREAM auction (id BIGINT, item_name TEXT, description TEXT, initial_bid BIGINT, reserve BIGINT,
         date_time TIMESTAMP, expires TIMESTAMP, seller BIGINT, category BIGINT)",
    ),
    (
        "bid",
        "CREATE STREAM bid (auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url TEXT, date_time TIMESTAMP,
         logged TIMESTAMP, extra TEXT)",
    ),
    ("side_input", "CREATE TABLE side_input (key BIGINT PRIMARY KEY, value TEXT)"),
];

/// The side input comes and changes between the events.
const CHANGES: [&[&str]; 2] = [
    &["INSERT INTO side_input SELECT value, 'side ' || value FROM generate_series(0, 14)"],
    &["UPDATE side_input SET value = 'other' WHERE key < 3", "DELETE FROM side_input WHERE key = 7"],
];

#[test]
fn nexmark_views_equal_their_queries() {
    with_stack(|| {
        let workload = workload(EVENTS_SMALL);
        assert_eq!(workload.queries.len(), 23);
        workload.prove(TELLING_MIN);
    });
}

#[test]
#[ignore = "takes minutes, and a release build"]
fn nexmark_long() {
    with_stack(|| {
        let events = std::env::var("NEXMARK_EVENTS").map_or(EVENTS, |text| text.parse().expect("a number"));
        let workload = workload(events);
        workload.report();
        workload.prove(TELLING_MIN);
    });
}

fn workload(events: u64) -> Workload {
    let mut house = House { random: 7, micros: BEGIN_MICROS, persons: 0, auctions: 0 };
    let keys: Vec<i64> = (10..20).collect();
    let values: Vec<String> = keys.iter().map(|key| format!("first {key}")).collect();
    let mut pieces: Vec<Piece> = vec![vec![("side_input", batch(vec![integers(&keys), texts(&values)]))]];
    pieces.extend((0..PIECES).map(|_| house.piece(events / PIECES)));
    let changes = CHANGES.iter().map(|statements| statements.iter().map(ToString::to_string).collect()).collect();
    Workload { relations: &RELATIONS, pieces, changes, queries: queries("nexmark") }
}

/// What the generator knows.
struct House {
    random: u64,
    micros: i64,
    persons: i64,
    auctions: i64,
}

impl House {
    /// The next events, as one commit.
    fn piece(&mut self, events: u64) -> Piece {
        let (mut persons, mut auctions, mut bids) = (Vec::new(), Vec::new(), Vec::new());
        for event in 0..events {
            self.micros += 1_000 + self.below(30) * 1_000;
            match event % 50 {
                0 => persons.push(self.person()),
                1..=3 => auctions.push(self.auction()),
                _ => bids.push(self.bid()),
            }
        }
        vec![("person", person_batch(&persons)), ("auction", auction_batch(&auctions)), ("bid", bid_batch(&bids))]
    }

    /// The next random number below `end`.
    fn below(&mut self, end: i64) -> i64 {
        // SplitMix64 (Steele, Lea and Flood, 2014): a full period from any seed.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) >> 1).expect("63 bits") % end
    }

    fn pick(&mut self, texts: &[&str]) -> String {
        let at = self.below(texts.len() as i64);
        texts[usize::try_from(at).expect("not negative")].to_string()
    }

    /// One of the first `count` numbers, half of the time one of the last few.
    fn favourite(&mut self, count: i64) -> i64 {
        let count = count.max(1);
        match self.below(2) {
            0 => count - 1 - self.below(count.min(4)),
            _ => self.below(count),
        }
    }

    fn person(&mut self) -> Person {
        self.persons += 1;
        let name = format!("{} {}", self.pick(&["Peter", "Vicky", "Walter"]), self.pick(&["Jones", "Smith", "White"]));
        let city = self.pick(&["Portland", "Boise", "Seattle", "Phoenix"]);
        let state = self.pick(&["OR", "ID", "WA", "CA", "AZ"]);
        Person { id: self.persons - 1, name, city, state, at: self.micros }
    }

    fn auction(&mut self) -> Auction {
        self.auctions += 1;
        let seller = self.favourite(self.persons);
        let (open, category) = (self.below(20) * 1_000_000, 10 + self.below(5));
        Auction { id: self.auctions - 1, seller, category, at: self.micros, expires: self.micros + open }
    }

    fn bid(&mut self) -> Bid {
        let (auction, bidder) = (self.favourite(self.auctions), self.favourite(self.persons));
        let price = 50 + self.below(100) * self.below(100);
        let channel = match self.below(3) {
            0 => format!("channel-{}", self.below(50)),
            _ => self.pick(&["Apple", "Google", "Facebook", "Baidu"]),
        };
        let folder = self.pick(&["abo", "odp", "uhx"]);
        let number = match self.below(2) {
            0 => String::new(),
            _ => format!("&channel_id={}", self.below(1000)),
        };
        let url = format!("https://www.nexmark.com/{folder}/{}/item.htm?query=1{number}", self.pick(&["hvc", "c"]));
        let extra = self.pick(&["cc", "abc", "", "occiput"]);
        Bid { auction, bidder, price, channel, url, at: self.micros, logged: self.micros + 2_000_000, extra }
    }
}

struct Person {
    id: i64,
    name: String,
    city: String,
    state: String,
    at: i64,
}

struct Auction {
    id: i64,
    seller: i64,
    category: i64,
    at: i64,
    expires: i64,
}

struct Bid {
    auction: i64,
    bidder: i64,
    price: i64,
    channel: String,
    url: String,
    at: i64,
    logged: i64,
    extra: String,
}

fn person_batch(rows: &[Person]) -> RecordBatch {
    let emails: Vec<String> = rows.iter().map(|row| format!("{}@nexmark.com", row.id)).collect();
    batch(vec![
        integers(&column(rows, |row| row.id)),
        texts(&column(rows, |row| row.name.clone())),
        texts(&emails),
        texts(&column(rows, |row| row.city.clone())),
        texts(&column(rows, |row| row.state.clone())),
        times(&column(rows, |row| row.at)),
    ])
}

fn auction_batch(rows: &[Auction]) -> RecordBatch {
    batch(vec![
        integers(&column(rows, |row| row.id)),
        texts(&column(rows, |row| format!("item {}", row.id))),
        texts(&column(rows, |row| format!("what {} sells", row.seller))),
        integers(&column(rows, |row| row.id % 100)),
        integers(&column(rows, |row| row.id % 100 + 50)),
        times(&column(rows, |row| row.at)),
        times(&column(rows, |row| row.expires)),
        integers(&column(rows, |row| row.seller)),
        integers(&column(rows, |row| row.category)),
    ])
}

fn bid_batch(rows: &[Bid]) -> RecordBatch {
    batch(vec![
        integers(&column(rows, |row| row.auction)),
        integers(&column(rows, |row| row.bidder)),
        integers(&column(rows, |row| row.price)),
        texts(&column(rows, |row| row.channel.clone())),
        texts(&column(rows, |row| row.url.clone())),
        times(&column(rows, |row| row.at)),
        times(&column(rows, |row| row.logged)),
        texts(&column(rows, |row| row.extra.clone())),
    ])
}

fn column<R, T>(rows: &[R], of: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

fn integers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn times(values: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values.to_vec()))
}

fn texts(values: &[String]) -> ArrayRef {
    Arc::new(StringArray::from(values.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Columns whose names do not matter: they are taken by place.
fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let named = columns.into_iter().enumerate().map(|(at, column)| (format!("column {at}"), column));
    RecordBatch::try_from_iter(named).unwrap()
}
