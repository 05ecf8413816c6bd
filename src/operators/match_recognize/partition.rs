//! The rows of one partition, with what the search from each of them looked at and found.
//!
//! ```text
//! before     search  search  -  -  search  search  -  search
//! change                           ^ a row comes
//! redone             ........................      from the first search that looked so far ...
//! kept       search                            search        ... to the next that begins behind the change anyway
//! ```

use std::ops::ControlFlow;

use arrow::array::Array;

use super::search::{Fault, Stretch};
use super::show::Match;
use super::spec::Spec;
use crate::circuit::time::moments_of;
use crate::delta::Delta;
use crate::error::{Error, Result};
use crate::operators::ordered::{Change, Key, OrderedRows};
use crate::operators::row_codec::RowCodec;

/// The moment of a row whose time is NULL: it never closes.
const NEVER: i64 = i64::MAX;

/// What the partitions of an operator share.
pub(super) struct Shared {
    pub spec: Spec,
    /// Encodes rows and decodes them; it holds none.
    pub rows: OrderedRows,
    /// Encodes the rows that are shown.
    pub shown: RowCodec,
    /// The column by which rows close.
    pub time: Option<usize>,
    /// The microseconds of WITHIN, rounded up, where nothing but the rows within them counts.
    pub within: Option<i64>,
}

/// A row, and the search that began with it.
#[derive(Clone)]
struct Place {
    key: Key,
    /// The moment of the row, in microseconds.
    moment: i64,
    search: Option<Search>,
    /// How far this and all searches before it looked, counted from the first row that there ever was.
    farthest: u64,
    /// Matches that begin with this row or one before it.
    matches: u64,
}

#[derive(Clone)]
struct Search {
    /// How many rows ahead it looked.
    ahead: u32,
    /// How many rows further the next begins.
    step: u32,
    /// The rows of the match that it found, as they are shown.
    shown: Option<Box<[Key]>>,
}

/// The rows of a partition.
#[derive(Default)]
pub(super) struct Partition {
    places: Vec<Place>,
    /// Rows that were let go of.
    gone: u64,
    /// The first row from which a search is not over for good.
    begin: usize,
    /// Matches of searches that are.
    matches: u64,
    /// Why there are no matches.
    pub failure: Option<String>,
    bytes: usize,
}

/// What a change does to the rows that are shown.
#[derive(Default)]
pub(super) struct Difference {
    pub removed: Vec<Key>,
    pub added: Vec<Key>,
}

impl Partition {
    /// Applies changes, which are in order.
    ///
    /// # Errors
    /// Only for what stops the engine.
    pub fn change(&mut self, changes: &[(Key, Change)], shared: &Shared, out: &mut Difference) -> Result<()> {
        let failed = self.failure.take().is_some();
        let first = self.places.partition_point(|place| place.key < changes[0].0);
        if first < self.begin {
            return Err(Error::Internal("MATCH_RECOGNIZE: a row changed that was over for good".into()));
        }
        let behind = {
            let last = &changes[changes.len() - 1].0;
            self.places.partition_point(|place| place.key <= *last)
        };
        let start = if failed { self.begin } else { self.first_reaching(first) };
        let tail = self.places.len() - behind;
        let mut old = self.places.split_off(start);
        self.bytes -= bytes_of(&old);
        self.places.extend(merged(&old[..behind - start], changes)?);
        let changed_until = self.places.len();
        self.places.extend(old[behind - start..].iter().map(|place| Place { search: None, ..place.clone() }));
        let redone = self.search(start, changed_until, &old[old.len() - tail..], shared);
        let (kept_from, added) = match redone {
            Ok(redone) => redone,
            Err(Fault::Fatal(error)) => return Err(error),
            Err(Fault::Rows(message)) => {
                self.failure = Some(message);
                let all = self.places[self.begin..start].iter_mut().chain(&mut old);
                out.removed.extend(all.filter_map(|place| place.search.take()?.shown).flatten());
                self.places.iter_mut().for_each(|place| place.search = None);
                self.bytes = bytes_of(&self.places);
                return Ok(());
            }
        };
        let kept = self.places.len() - kept_from;
        let gone = old.len() - kept;
        out.removed.extend(old.drain(..gone).filter_map(|place| place.search?.shown).flatten());
        for (place, old) in self.places[kept_from..].iter_mut().zip(old) {
            (place.search, place.moment) = (old.search, old.moment);
        }
        out.added.extend(added);
        self.count(start);
        self.bytes += bytes_of(&self.places[start..]);
        Ok(())
    }

    /// The row from which on searches are to be done again when a row changes.
    fn first_reaching(&self, changed: usize) -> usize {
        let absolute = self.gone + changed as u64;
        let places = &self.places[self.begin..changed.max(self.begin)];
        let found = self.begin + places.partition_point(|place| place.farthest < absolute);
        if found < changed {
            return found;
        }
        let last = self.places[self.begin..found].iter().rposition(|place| place.search.is_some());
        last.map_or(self.begin, |at| {
            let step = self.places[self.begin + at].search.as_ref().map_or(0, |search| search.step as usize);
            self.begin + at + step
        })
    }

    /// Searches from a row on, until a search begins where one began before and saw what it would see now: what those
    /// behind it found stays. `old` are the rows behind the last change. Returns where these are, and what is shown.
    fn search(
        &mut self,
        start: usize,
        changed_until: usize,
        old: &[Place],
        shared: &Shared,
    ) -> Result<(usize, Vec<Key>), Fault> {
        let Shared { spec, rows, shown, time, .. } = shared;
        let from = start.saturating_sub(spec.back);
        let batch = rows.decode(self.places[from..].iter().map(|place| &place.key))?;
        if let Some(time) = time {
            let moments = moments_of(batch.column(*time))?;
            for (at, place) in self.places[from..].iter_mut().enumerate() {
                place.moment = if moments.is_valid(at) { moments.value(at) } else { NEVER };
            }
        }
        let stretch = Stretch::new(spec, &batch, self.gone == 0 && from == 0, start - from)?;
        let before = if start > self.begin { self.places[start - 1].matches } else { self.matches };
        let (mut found, mut searches) = (Vec::new(), Vec::new());
        let mut kept_from = self.places.len();
        let anchor = spec.back.max(usize::from(spec.is_anchored()));
        let resumes = |at: usize, matches: u64| {
            let Some(place) = at.checked_sub(changed_until).and_then(|at| old.get(at)) else { return false };
            let begins = place.search.is_some() && at >= changed_until.saturating_add(anchor);
            let matches_before = place.matches - u64::from(place.search.as_ref().is_some_and(|s| s.shown.is_some()));
            begins && (!spec.is_numbered() || matches_before == matches)
        };
        if resumes(start, before) {
            return Ok((start, Vec::new()));
        }
        stretch.scan(|attempt| {
            let has_match = attempt.found.is_some();
            searches.push((attempt.start, attempt.reach - attempt.start, attempt.next - attempt.start, has_match));
            if let Some(symbols) = attempt.found {
                let number = (before + found.len() as u64 + 1) as i64;
                found.push(Match { start: attempt.start, symbols, number });
            }
            match resumes(from + attempt.next, before + found.len() as u64) {
                true => {
                    kept_from = from + attempt.next;
                    ControlFlow::Break(())
                }
                false => ControlFlow::Continue(()),
            }
        })?;
        let shown_rows = stretch.show(spec, &found)?;
        let keys: Vec<Key> = match shown.encode(&Delta::insert(shown_rows.clone()))? {
            Some(rows) => rows.iter().map(|row| Key::from(row.data())).collect(),
            None => std::iter::repeat_n(Key::from(&[][..]), shown_rows.num_rows()).collect(),
        };
        let (mut next, mut matches) = (0, found.iter());
        for (at, ahead, step, has_match) in searches {
            let shown = has_match.then(|| {
                let count = matches.next().map_or(0, |found| found.shown(spec));
                next += count;
                keys[next - count..next].to_vec().into_boxed_slice()
            });
            let number = |count: usize| {
                u32::try_from(count)
                    .map_err(|_| Error::Limit("a partition of MATCH_RECOGNIZE has too many rows".into()))
            };
            self.places[from + at].search = Some(Search { ahead: number(ahead)?, step: number(step)?, shown });
        }
        Ok((kept_from, keys))
    }

    /// Works out how far searches looked, and how many matches there are, from a row on.
    fn count(&mut self, start: usize) {
        let last = start.checked_sub(1).filter(|last| *last >= self.begin).map(|last| &self.places[last]);
        let (mut farthest, mut matches) = last.map_or((0, self.matches), |place| (place.farthest, place.matches));
        for (at, place) in self.places.iter_mut().enumerate().skip(start) {
            if let Some(search) = &place.search {
                farthest = farthest.max(self.gone + at as u64 + u64::from(search.ahead));
                matches += u64::from(search.shown.is_some());
            }
            (place.farthest, place.matches) = (farthest, matches);
        }
    }

    /// Lets go of the rows that no search to come looks at, now that no row before a moment comes or goes any more.
    pub fn close(&mut self, bound: i64, shared: &Shared) {
        if self.failure.is_some() {
            return;
        }
        while self.due(self.begin, shared).is_some_and(|due| due < bound)
            && let Some(search) = self.places[self.begin].search.take()
        {
            self.bytes -= search.bytes();
            self.matches += u64::from(search.shown.is_some());
            self.begin += search.step as usize;
        }
        let gone = self.begin.saturating_sub(shared.spec.back).min(self.places.len());
        if gone > 0 {
            self.bytes -= bytes_of(&self.places[..gone]);
            self.places.drain(..gone);
            self.begin -= gone;
            self.gone += gone as u64;
        }
    }

    /// The moment behind which the bound must be for the search from a row to be over for good; none is never.
    fn due(&self, at: usize, shared: &Shared) -> Option<i64> {
        let place = self.places.get(at)?;
        let search = place.search.as_ref()?;
        let last = self.places.get(at + search.ahead as usize).map(|last| last.moment);
        let within = shared.within.map(|within| place.moment.saturating_add(within));
        let due = match (last, within) {
            (Some(last), Some(within)) => last.min(within),
            (last, within) => last.or(within)?,
        };
        (place.moment != NEVER && due != NEVER).then_some(due)
    }

    /// The moment behind which the bound must be for something to be let go of.
    pub fn next_due(&self, shared: &Shared) -> Option<i64> {
        self.due(self.begin, shared)
    }

    /// Whether there is nothing to be remembered.
    pub fn is_void(&self, shared: &Shared) -> bool {
        self.places.is_empty() && self.failure.is_none() && (self.gone == 0 || !shared.spec.remembers())
    }

    pub fn rows(&self) -> usize {
        self.places.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes of memory of some rows.
fn bytes_of(places: &[Place]) -> usize {
    let of = |place: &Place| size_of::<Place>() + 16 + place.key.len() + place.search.as_ref().map_or(0, Search::bytes);
    places.iter().map(of).sum()
}

impl Search {
    /// Bytes of memory beside its place.
    fn bytes(&self) -> usize {
        const KEY: usize = size_of::<Key>() + 16;
        self.shown.as_ref().map_or(0, |keys| keys.iter().map(|key| key.len() + KEY).sum())
    }
}

/// Rows with changes, which are in order and lie among them.
fn merged(old: &[Place], changes: &[(Key, Change)]) -> Result<Vec<Place>> {
    let mut rows = Vec::with_capacity(old.len() + changes.len());
    let mut old = old.iter().peekable();
    let new = |key: &Key| Place { key: key.clone(), moment: NEVER, search: None, farthest: 0, matches: 0 };
    for (key, change) in changes {
        while let Some(place) = old.next_if(|place| place.key < *key) {
            rows.push(new(&place.key));
        }
        let mut count = change.weight;
        while old.next_if(|place| place.key == *key).is_some() {
            count += 1;
        }
        let count = usize::try_from(count)
            .map_err(|_| Error::Internal(format!("a row of MATCH_RECOGNIZE is there {count} times")))?;
        rows.extend((0..count).map(|_| new(key)));
    }
    rows.extend(old.map(|place| new(&place.key)));
    Ok(rows)
}
