//! Time travel: what views were at a commit they are again AS OF OFFSET, and their changes lead from one moment to another.

mod language;
mod replay;
mod subscribe;

use std::collections::BTreeMap;

use millstream::Database;

use crate::embed_support::text;
use crate::oracle::random::Random;

/// What views held at moments of the log, as they were read then.
#[derive(Default)]
pub struct Remembered {
    seen: Vec<Seen>,
}

struct Seen {
    view: String,
    offset: u64,
    /// In order.
    rows: Vec<String>,
}

impl Remembered {
    /// Notes what a view holds now.
    pub fn note(&mut self, db: &Database, view: &str) {
        // One that fails cannot be read.
        if let Ok((offset, rows)) = db.snapshot(view) {
            let mut rows = text(&rows.batches);
            rows.sort();
            self.seen.push(Seen { view: view.to_string(), offset, rows });
        }
    }

    /// Reads some of the moments again; says what is wrong.
    pub fn check(&self, db: &Database, random: &mut Random, times: usize) -> Result<(), String> {
        for _ in 0..times.min(self.seen.len()) {
            let one = random.pick(&self.seen);
            let rows = &one.rows;
            let sql = format!("SELECT * FROM {} AS OF OFFSET {}", one.view, one.offset);
            let found = sorted(db, &sql)?;
            if found != *rows {
                return Err(format!("{sql}: {found:?} instead of {rows:?}"));
            }
            let of_view: Vec<&Seen> =
                self.seen.iter().filter(|s| s.view == one.view && s.offset > one.offset).collect();
            let Some(Seen { offset, rows: later, .. }) = of_view.first().map(|_| *random.pick(&of_view)) else {
                continue;
            };
            let sql = format!("SELECT * FROM changes('{}', {}, {offset})", one.view, one.offset + 1);
            let mut bag = BTreeMap::new();
            rows.iter().for_each(|row| *bag.entry(row.clone()).or_insert(0_i64) += 1);
            for change in sorted(db, &sql)? {
                // The offset, the time and the weight stand last.
                let parts: Vec<&str> = change.rsplitn(4, '|').collect();
                *bag.entry(parts[3].to_string()).or_insert(0) += parts[0].parse::<i64>().expect("a weight");
            }
            bag.retain(|_, count| *count != 0);
            let found: Vec<String> =
                bag.into_iter().flat_map(|(row, count)| vec![row; count.max(0) as usize]).collect();
            if found != *later {
                return Err(format!("{sql} leads from {rows:?} to {found:?} instead of {later:?}"));
            }
        }
        Ok(())
    }
}

fn sorted(db: &Database, sql: &str) -> Result<Vec<String>, String> {
    let mut rows = text(&db.query(sql).map_err(|error| format!("{sql}: {error}"))?.batches);
    rows.sort();
    Ok(rows)
}
