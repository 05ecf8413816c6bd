//! Subscriptions that go on behind an offset, and changes by key.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use millstream::{Database, Outcome, Subscription, Update};

use crate::embed_support::{run, text};
use crate::oracle::random::Random;

fn counted() -> Database {
    let db = Database::in_memory().unwrap();
    run(
        &db,
        &["CREATE STREAM s (k BIGINT)", "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM s GROUP BY k"],
    );
    db
}

/// Takes in what is there; says which offsets it came with.
fn hear(subscription: &mut Subscription, held: &mut BTreeMap<String, i64>, until: u64) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.last().is_none_or(|last| *last < until) {
        match subscription.next() {
            Some(Update::Delta { offset, delta }) => {
                offsets.push(offset);
                for (row, weight) in
                    text(std::slice::from_ref(&delta.batch)).into_iter().zip(delta.weights.to_vec(delta.len()))
                {
                    *held.entry(row).or_default() += weight;
                }
                held.retain(|_, count| *count != 0);
            }
            other => panic!("{other:?}"),
        }
    }
    offsets
}

#[test]
fn a_subscriber_goes_on_where_it_was() {
    let db = counted();
    let mut random = Random::new(7);
    for _ in 0..40 {
        run(&db, &[&format!("INSERT INTO s VALUES ({}), ({})", random.below(5), random.below(5))]);
    }
    let last = db.snapshot("v").unwrap().0;
    for from in [0, 2, 17, last - 1, last] {
        let mut held = BTreeMap::new();
        if from > 0 {
            let rows = db.query(&format!("SELECT * FROM v AS OF OFFSET {from}")).unwrap();
            text(&rows.batches).into_iter().for_each(|row| *held.entry(row).or_default() += 1);
        }
        let mut subscription = db.subscribe_from("v", from).unwrap();
        // What comes now follows what was missed, each once.
        run(&db, &["INSERT INTO s VALUES (9)", "INSERT INTO s VALUES (9)"]);
        let (now, rows) = db.snapshot("v").unwrap();
        let offsets = hear(&mut subscription, &mut held, now);
        let first = (from + 1).max(3);
        assert_eq!(offsets, (first..=now).collect::<Vec<_>>(), "from {from}");
        let mut expected = text(&rows.batches);
        expected.sort();
        assert_eq!(held.keys().cloned().collect::<Vec<_>>(), expected);
        assert!(subscription.try_next().is_none() && !subscription.has_ended());
    }
    let mut subscription = db.subscribe_from("v", 3).unwrap();
    db.close().unwrap();
    for update in subscription.by_ref() {
        assert!(matches!(update, Update::Delta { .. }));
    }
    assert!(subscription.has_ended());
}

#[test]
fn more_is_told_than_fits_the_queue() {
    let db = counted();
    for at in 0..3000 {
        db.append("s", millstream_batch(at)).unwrap();
    }
    run(&db, &["INSERT INTO s VALUES (0)"]);
    let now = db.snapshot("v").unwrap().0;
    let mut held = BTreeMap::new();
    let offsets = hear(&mut db.subscribe_from("v", 0).unwrap(), &mut held, now);
    assert_eq!(offsets.len(), 3001);
    assert_eq!(held.len(), 7);
    // Who does not care any more leaves the thread that tells it.
    drop(db.subscribe_from("v", 0).unwrap());
}

fn millstream_batch(at: i64) -> arrow::array::RecordBatch {
    let keys: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from(vec![at % 7]));
    arrow::array::RecordBatch::try_from_iter([("k", keys)]).unwrap()
}

#[test]
fn changes_come_by_key() {
    let db = counted();
    run(&db, &["INSERT INTO s VALUES (1)", "INSERT INTO s VALUES (1), (2)"]);
    let Outcome::Subscribed(mut subscription) = db.execute("SUBSCRIBE v FROM OFFSET 2 AS PATCHES").unwrap() else {
        panic!()
    };
    let mut patches = || match subscription.next() {
        Some(Update::Patches { batch, .. }) => {
            let n = |column: usize, row: usize| {
                let rows = batch.column(column).as_struct();
                rows.is_valid(row).then(|| rows.column(1).as_primitive::<Int64Type>().value(row))
            };
            let keys = batch.column(0).as_primitive::<Int64Type>();
            (0..batch.num_rows()).map(|row| (keys.value(row), n(1, row), n(2, row))).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(patches(), [(1, None, Some(1))]);
    assert_eq!(patches(), [(1, Some(1), Some(2)), (2, None, Some(1))]);
    run(&db, &["INSERT INTO s VALUES (2)"]);
    assert_eq!(patches(), [(2, Some(1), Some(2))]);
}
