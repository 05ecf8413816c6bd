//! Internal consistency: the test of Jamie Brandon, "Internal Consistency in Streaming Systems" (2021). Money moves
//! between ten accounts, so that the sum of all balances is zero after each transfer. A system that shows the debit of a
//! transfer before its credit, or one input of a join before the other, shows another sum for a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::Int64Type;
use millstream::{Database, Subscription, Update};

use crate::embed_support::{rows, run, verify};
use crate::oracle::random::Random;

const ACCOUNTS: i64 = 10;
const TRANSFERS: i64 = 12_000;
/// By how much transfers can be out of order, in seconds.
const DISORDER: i64 = 10;

const VIEWS: [&str; 6] = [
    "CREATE MATERIALIZED VIEW credits AS SELECT to_account AS account, sum(amount) AS credits FROM transfers GROUP BY 1",
    "CREATE MATERIALIZED VIEW debits AS SELECT from_account AS account, sum(amount) AS debits FROM transfers GROUP BY 1",
    // With left joins in between: an account may have one of both only, and then gets the other.
    "CREATE MATERIALIZED VIEW balance AS
        SELECT a.account, coalesce(c.credits, 0) - coalesce(d.debits, 0) AS balance
        FROM accounts a LEFT JOIN credits c ON a.account = c.account LEFT JOIN debits d ON d.account = a.account",
    "CREATE MATERIALIZED VIEW total AS SELECT sum(balance) AS total FROM balance",
    // The same money by the minute, as it becomes final.
    "CREATE MATERIALIZED VIEW by_minute AS
        SELECT date_bin(INTERVAL '1 minute', at) AS minute, account, sum(amount) AS moved FROM (
            SELECT at, to_account AS account, amount FROM transfers
            UNION ALL SELECT at, from_account, -amount FROM transfers)
        GROUP BY 1, 2 EMIT ON WINDOW CLOSE",
    "CREATE MATERIALIZED VIEW moved AS SELECT sum(moved) AS total FROM by_minute",
];

/// The rows of a view of numbers, as its changes tell them.
struct Followed {
    changes: Subscription,
    rows: BTreeMap<Vec<Option<i64>>, i64>,
    heard: usize,
}

impl Followed {
    fn of(db: &Database, view: &str) -> Followed {
        Followed { changes: db.subscribe(view).unwrap(), rows: BTreeMap::new(), heard: 0 }
    }

    /// Takes in what has come; after each update the rows must be as `check` wants them.
    fn follow(&mut self, check: impl Fn(&BTreeMap<Vec<Option<i64>>, i64>)) {
        while let Some(update) = self.changes.try_next() {
            let (batch, weights) = match update {
                Update::Snapshot { batch, .. } => {
                    self.rows.clear();
                    let ones = vec![1; batch.num_rows()];
                    (batch, ones)
                }
                Update::Delta { delta, .. } => {
                    let weights = (0..delta.len()).map(|row| delta.weights.get(row)).collect();
                    (delta.batch, weights)
                }
                other => panic!("{other:?}"),
            };
            for (row, weight) in weights.into_iter().enumerate() {
                let value = |column: &ArrayRef| {
                    let numbers = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).unwrap();
                    let numbers = numbers.as_primitive::<Int64Type>();
                    arrow::array::Array::is_valid(numbers, row).then(|| numbers.value(row))
                };
                *self.rows.entry(batch.columns().iter().map(value).collect()).or_default() += weight;
            }
            self.rows.retain(|_, weight| *weight != 0);
            self.heard += 1;
            check(&self.rows);
        }
    }
}

#[test]
fn money_is_neither_made_nor_lost_at_any_moment() {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &[
            "CREATE TABLE accounts (account BIGINT PRIMARY KEY)",
            "CREATE STREAM transfers (id BIGINT, from_account BIGINT, to_account BIGINT, amount BIGINT, at TIMESTAMP,
                WATERMARK FOR at AS at - INTERVAL '10 seconds')",
            "INSERT INTO accounts SELECT i FROM generate_series(0, 9) AS g(i)",
        ],
    );
    run(&db, &VIEWS);
    let mut total = Followed::of(&db, "total");
    let mut balance = Followed::of(&db, "balance");
    let mut moved = Followed::of(&db, "moved");
    let mut random = Random::new(20_210_405);
    let mut next = 0;
    while next < TRANSFERS {
        // Commits of one, and of many; several of them on their way at once.
        let mut tickets = Vec::new();
        for _ in 0..random.between(1, 5) {
            let end = TRANSFERS.min(next + if random.percent(60) { 1 } else { random.between(2, 60) as i64 });
            if next < end {
                tickets.push(db.append("transfers", transfers(&mut random, next..end)).unwrap());
            }
            next = end;
        }
        for ticket in tickets {
            ticket.wait().unwrap();
        }
        let zero = |rows: &BTreeMap<Vec<Option<i64>>, i64>| {
            assert_eq!(rows.values().sum::<i64>(), 1, "{rows:?}");
            assert!(rows.keys().all(|row| matches!(row[0], Some(0) | None)), "{rows:?}");
        };
        total.follow(zero);
        moved.follow(zero);
        balance.follow(|rows| {
            assert_eq!(rows.values().sum::<i64>(), ACCOUNTS, "{rows:?}");
            assert_eq!(rows.keys().map(|row| row[1].unwrap()).sum::<i64>(), 0, "{rows:?}");
        });
    }
    assert!(balance.heard > 200, "{}", balance.heard);
    assert!(rows(&db, "SELECT * FROM transfers.late").is_empty());
    // All minutes but the last one, of which each has all ten accounts.
    let minutes: i64 = rows(&db, "SELECT count(DISTINCT minute) FROM by_minute")[0].parse().unwrap();
    assert_eq!(minutes, (TRANSFERS - 1 - DISORDER) / 60);
    assert_eq!(rows(&db, "SELECT total FROM total"), ["0"]);
    verify(&db);
}

/// Transfers, one a second, up to ten seconds out of order.
fn transfers(random: &mut Random, ids: std::ops::Range<i64>) -> RecordBatch {
    let numbers =
        |of: &mut dyn FnMut(i64) -> i64| Arc::new(Int64Array::from_iter_values(ids.clone().map(of))) as ArrayRef;
    let mut account = || random.below(ACCOUNTS as usize) as i64;
    let (from, to) = (numbers(&mut |_| account()), numbers(&mut |_| account()));
    let amount = numbers(&mut |id| 1 + id % 17);
    let at = ids.clone().map(|id| (id + DISORDER - random.below(DISORDER as usize + 1) as i64) * 1_000_000_000);
    let columns = [
        ("id", numbers(&mut |id| id)),
        ("from_account", from),
        ("to_account", to),
        ("amount", amount),
        ("at", Arc::new(TimestampNanosecondArray::from_iter_values(at)) as ArrayRef),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
