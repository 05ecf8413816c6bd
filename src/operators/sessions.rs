//! Sessions: rows with the stretch of time that they and their neighbours make, cut where none comes for a gap.
//!
//! ```text
//! gap 5 min      10:01  10:03        10:09  10:12       sessions 10:01-10:08 and 10:09-10:17
//! + 10:07        10:01  10:03  10:07 10:09  10:12       one, 10:01-10:17: its rows are put out anew
//! ```
//!
//! A change touches the sessions that it lies in or beside. Those are looked for among the rows before and after it
//! together: between two such stretches nothing is less than a gap apart, before or after.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array};
use arrow::compute;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};

use super::project::batch;
use crate::circuit::time::{Bound, Watermarks, moment_as};
use crate::circuit::{Growth, Operator, StateSize, Tick};
use crate::delta::index::KeyIndex;
use crate::delta::rows::RowSet;
use crate::delta::values::Zeros;
use crate::delta::{Delta, Weights, consolidate};
use crate::error::Result;

/// What makes sessions of rows.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Columns whose values are equal in all rows of a session.
    pub partition: Vec<usize>,
    /// The column of times.
    pub time: usize,
    /// Two neighbours less than this apart are of one session, in the unit of the column.
    pub gap: i64,
}

/// A session of rows whose times are these: its first moment, and the first one behind it.
pub type Session = (i64, i64);

/// The sessions of times in order, each with how many of the times it has.
pub fn sessions(times: impl IntoIterator<Item = i64>, gap: i64) -> Vec<(Session, usize)> {
    let mut found: Vec<(Session, usize)> = Vec::new();
    for time in times {
        let end = time.saturating_add(gap);
        match found.last_mut() {
            Some(((_, last), count)) if time < *last => (*last, *count) = (end, *count + 1),
            _ => found.push(((time, end), 1)),
        }
    }
    found
}

/// Times as the numbers of their type.
///
/// # Errors
/// When they are no times.
pub fn numbers(times: &ArrayRef) -> Result<Int64Array> {
    Ok(compute::cast(times, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Gives rows their sessions.
pub struct Sessions {
    schema: SchemaRef,
    spec: Spec,
    /// Behind this bound of the times nothing changes.
    closing: Option<Bound>,
    rows: RowSet,
    /// The values of the partition columns, and how many different rows each combination has.
    partitions: KeyIndex,
    counts: Vec<usize>,
    /// Partition, time and id of each row.
    places: BTreeSet<Place>,
    /// End, partition and beginning of each session.
    ends: BTreeSet<(i64, u32, i64)>,
}

type Place = (u32, i64, u32);

/// Neighbours less than a gap apart, some of which a change is about.
struct Stretch {
    places: Vec<Place>,
    before: Vec<i64>,
}

impl Sessions {
    /// Rows of the columns of an input, to which `schema` adds the two ends of a session. The times are never NULL.
    ///
    /// # Errors
    /// When a column cannot be kept.
    pub fn new(input: SchemaRef, schema: SchemaRef, spec: Spec, closing: Option<Bound>) -> Result<Self> {
        let types: Vec<DataType> = spec.partition.iter().map(|at| input.field(*at).data_type().clone()).collect();
        let partitions = KeyIndex::new(&types, Zeros::Folded)?;
        let rows = RowSet::new(input, None, false)?;
        let (counts, places, ends) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        Ok(Sessions { schema, spec, closing, rows, partitions, counts, places, ends })
    }

    /// The partition and the time of each row of a delta.
    fn points(&mut self, delta: &Delta) -> Result<Vec<(u32, i64)>> {
        let times = numbers(delta.column(self.spec.time))?;
        let mut ids = vec![0; delta.len()];
        if !self.spec.partition.is_empty() {
            let keys: Vec<ArrayRef> = self.spec.partition.iter().map(|at| delta.column(*at).clone()).collect();
            self.partitions.intern(&keys, delta.len(), &mut ids)?;
        }
        let slots = ids.iter().max().map_or(0, |last| *last as usize + 1);
        self.counts.resize(self.counts.len().max(slots), 0);
        Ok(ids.into_iter().zip(times.values().iter().copied()).collect())
    }

    /// The neighbours of a place in both directions.
    fn stretch(&self, (partition, time): (u32, i64)) -> Vec<Place> {
        let joined = |(last, next): (i64, i64)| next.saturating_sub(last) < self.spec.gap;
        let mut first = time;
        let below = self.places.range(..(partition, time, 0)).rev();
        for (_, before, _) in below.take_while(|place| place.0 == partition) {
            if !joined((*before, first)) {
                break;
            }
            first = *before;
        }
        let mut last = first;
        let from = self.places.range((partition, first, 0)..).take_while(|place| place.0 == partition);
        let within = from.take_while(|(_, next, _)| {
            let joins = joined((last, *next));
            last = *next;
            joins
        });
        within.copied().collect()
    }

    fn forget(&mut self, place: Place) {
        if self.places.remove(&place) && !self.spec.partition.is_empty() {
            let count = &mut self.counts[place.0 as usize];
            *count -= 1;
            if *count == 0 {
                self.partitions.remove(place.0);
            }
        }
    }
}

/// The sessions of the rows of a stretch that are there, by place in it.
fn of_rows(places: &[Place], weights: &[i64], gap: i64) -> Vec<Option<Session>> {
    let there = |at: &usize| weights[*at] > 0;
    let found = sessions((0..places.len()).filter(there).map(|at| places[at].1), gap);
    let mut each = found.iter().flat_map(|(session, count)| std::iter::repeat_n(*session, *count));
    weights.iter().map(|weight| if *weight > 0 { each.next() } else { None }).collect()
}

impl Operator for Sessions {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], _: &Tick) -> Result<Delta> {
        let delta = consolidate(inputs[0])?;
        if !delta.has_rows() {
            return Ok(Delta::empty(self.schema.clone()));
        }
        let comes: Vec<bool> = (0..delta.len()).map(|row| delta.weights.get(row) > 0).collect();
        let comes = BooleanArray::from(comes);
        let (plus, minus) = (delta.filter(&comes)?, delta.filter(&compute::not(&comes)?)?);
        let mut points = self.points(&plus)?;
        self.rows.apply(&plus)?;
        let mut added: BTreeMap<u32, i64> = BTreeMap::new();
        if plus.has_rows() {
            for (row, (id, (partition, time))) in self.rows.applied().iter().zip(&points).enumerate() {
                *added.entry(*id).or_default() += plus.weights.get(row);
                if self.places.insert((*partition, *time, *id)) {
                    self.counts[*partition as usize] += 1;
                }
            }
        }
        points.extend(self.points(&minus)?);
        points.sort_unstable();
        let mut stretches: Vec<Stretch> = Vec::new();
        for point in points {
            let known = stretches.last().and_then(|stretch| stretch.places.last());
            if known.is_some_and(|(partition, time, _)| (*partition, *time) >= point) {
                continue;
            }
            let places = self.stretch(point);
            let weight = |place: &Place| self.rows.weight(place.2) - added.get(&place.2).copied().unwrap_or(0);
            let before = places.iter().map(weight).collect();
            stretches.push(Stretch { places, before });
        }
        let ids: Vec<u32> = stretches.iter().flat_map(|stretch| &stretch.places).map(|place| place.2).collect();
        let rows = self.rows.gather(&ids)?;
        self.rows.apply(&minus)?;
        let (mut taken, mut starts, mut ends, mut weights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut put = |at: usize, (start, end): Session, weight: i64| {
            taken.push(at as u32);
            starts.push(start);
            ends.push(end);
            weights.push(weight);
        };
        let mut first = 0;
        for Stretch { places, before } in stretches {
            let after: Vec<i64> = places.iter().map(|place| self.rows.weight(place.2)).collect();
            let (old, new) = (of_rows(&places, &before, self.spec.gap), of_rows(&places, &after, self.spec.gap));
            for (at, place) in places.iter().enumerate() {
                match (old[at], new[at]) {
                    (Some(old), Some(new)) if old == new => {
                        if before[at] != after[at] {
                            put(first + at, new, after[at] - before[at]);
                        }
                    }
                    (old, new) => {
                        if let Some(old) = old {
                            put(first + at, old, -before[at]);
                            self.ends.remove(&(old.1, place.0, old.0));
                        }
                        if let Some(new) = new {
                            put(first + at, new, after[at]);
                        }
                    }
                }
            }
            for (place, session) in places.iter().zip(&new) {
                match session {
                    Some((start, end)) => drop(self.ends.insert((*end, place.0, *start))),
                    None => self.forget(*place),
                }
            }
            first += places.len();
        }
        let rows = compute::take_record_batch(&rows, &UInt32Array::from(taken))?;
        let time = self.schema.field(self.schema.fields().len() - 1).data_type();
        let of_time = |numbers: Vec<i64>| compute::cast(&Int64Array::from(numbers), time);
        let mut columns = rows.columns().to_vec();
        columns.extend([of_time(starts)?, of_time(ends)?]);
        Ok(Delta::new(batch(&self.schema, columns, rows.num_rows())?, Weights::new(weights)))
    }

    fn close(&mut self, watermarks: &Watermarks) -> Result<()> {
        let Some(moment) = self.closing.as_ref().and_then(|bound| bound.at(watermarks)) else { return Ok(()) };
        let time = self.rows.schema().field(self.spec.time).data_type();
        let Some(bound) = moment_as(moment, time) else { return Ok(()) };
        let bound = numbers(&bound)?.value(0);
        let mut gone = Vec::new();
        // A row to come has a time from the bound on: too late for a session that ends there.
        while let Some((end, partition, start)) = self.ends.first().copied().filter(|(end, ..)| *end <= bound) {
            self.ends.pop_first();
            let last = end.saturating_sub(self.spec.gap);
            gone.extend(self.places.range((partition, start, 0)..=(partition, last, u32::MAX)).copied());
        }
        if gone.is_empty() {
            return Ok(());
        }
        let ids: Vec<u32> = gone.iter().map(|place| place.2).collect();
        let weights = Weights::new(ids.iter().map(|id| -self.rows.weight(*id)).collect());
        self.rows.apply(&Delta::new(self.rows.gather(&ids)?, weights))?;
        gone.into_iter().for_each(|place| self.forget(place));
        Ok(())
    }

    fn growth(&self) -> Growth {
        self.closing.clone().map_or(Growth::Open, Growth::Closed)
    }

    fn state(&self) -> Option<StateSize> {
        let places = self.places.len() * size_of::<Place>() + self.ends.len() * size_of::<(i64, u32, i64)>();
        let bytes = self.rows.bytes() + self.partitions.bytes() + places * 3 / 2 + self.counts.len() * 8;
        Some(StateSize { rows: self.rows.columns().len(), bytes })
    }
}

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.rows.schema();
        let name = |at: &usize| schema.field(*at).name().as_str();
        write!(f, "sessions by {}", name(&self.spec.time))?;
        match self.spec.partition.iter().map(name).collect::<Vec<_>>() {
            names if names.is_empty() => Ok(()),
            names => write!(f, ", of each {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::delta::text::parse;
    use crate::operators::testing::{Random, change, contents, schema};

    const GAP: i64 = 5;

    fn operator(partition: Vec<usize>, closing: Option<Bound>) -> (Sessions, RowSet, SchemaRef) {
        let micros = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
        let fields = [("k", DataType::Int64), ("id", DataType::Int64), ("ts", micros.clone())];
        let input = schema(&fields);
        let output = schema(&[fields.as_slice(), &[("start", micros.clone()), ("end", micros)]].concat());
        let spec = Spec { partition, time: 2, gap: GAP };
        let operator = Sessions::new(input.clone(), output.clone(), spec, closing).unwrap();
        (operator, RowSet::new(output, None, false).unwrap(), input)
    }

    fn moment(time: i64) -> String {
        let micros = Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![time])) as ArrayRef;
        arrow::util::display::array_value_to_string(&micros, 0).unwrap()
    }

    /// The rows with their sessions, by looking at each pair of rows again and again.
    fn naive(rows: &[(i64, i64, i64)], by_key: bool) -> Vec<String> {
        let mut spans: Vec<(i64, i64)> = rows.iter().map(|row| (row.2, row.2)).collect();
        loop {
            let before = spans.clone();
            for (a, span) in before.iter().enumerate() {
                for (b, other) in before.iter().enumerate() {
                    let same = !by_key || rows[a].0 == rows[b].0;
                    if same && span.0 - other.1 < GAP && other.0 - span.1 < GAP {
                        spans[a] = (spans[a].0.min(other.0), spans[a].1.max(other.1));
                    }
                }
            }
            if spans == before {
                break;
            }
        }
        let line = |(row, span): (&(i64, i64, i64), &(i64, i64))| {
            let (start, end) = (moment(span.0), moment(span.1 + GAP));
            format!("{} {} {} {start} {end}", row.0, row.1, moment(row.2))
        };
        let mut lines: Vec<String> = rows.iter().zip(&spans).map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn sessions_merge_and_split_as_by_pairs() {
        for seed in 0..90 {
            let mut random = Random::new(seed);
            let by_key = seed % 3 > 0;
            let (mut operator, mut shown, input) = operator(if by_key { vec![0] } else { Vec::new() }, None);
            let (mut bag, width) = (Vec::new(), [8, 30, 90][random.below(3)]);
            let row = |random: &mut Random| {
                let time = moment(random.below(width) as i64 - 20);
                format!("{} {} {time}", random.below(2), random.below(2))
            };
            for _ in 0..25 {
                let text = change(&mut random, &mut bag, row, false);
                let delta = parse(&input, &text).unwrap();
                shown.apply(&operator.step(&[&delta], &Tick::default()).unwrap()).unwrap();
                let read = |line: &String| {
                    let cells: Vec<&str> = line.split(" ").collect();
                    let at = (-40..100).find(|at| moment(*at) == cells[2]).unwrap();
                    (cells[0].parse().unwrap(), cells[1].parse().unwrap(), at)
                };
                let rows: Vec<(i64, i64, i64)> = bag.iter().map(read).collect();
                let mut found: Vec<String> = Vec::new();
                for line in contents(&mut shown).lines() {
                    let (weight, row) = line.split_once(' ').unwrap();
                    let weight: usize = weight.trim_start_matches('+').parse().unwrap();
                    found.extend(std::iter::repeat_n(row.to_string(), weight));
                }
                found.sort();
                assert_eq!(found, naive(&rows, by_key), "seed {seed}");
                let ends: BTreeSet<_> =
                    operator.ends.iter().map(|(_, partition, start)| (*partition, *start)).collect();
                assert_eq!(ends.len(), operator.ends.len(), "seed {seed}: a session with two ends");
                assert_eq!(operator.places.len(), operator.rows.columns().len(), "seed {seed}");
            }
        }
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let (mut operator, mut shown, input) = operator(vec![0], Some(Bound::Watermark(1)));
        let mut watermarks = Watermarks::default();
        let at = |times: &[i64]| {
            let lines: Vec<String> = times.iter().map(|time| format!("+1 1 1 {}", moment(*time))).collect();
            parse(&input, &lines.join("\n")).unwrap()
        };
        for (rows, watermark, kept) in
            [(vec![0, 3, 10], 7, 3), (vec![7], 8, 4), (vec![], 14, 4), (vec![], 15, 0), (vec![15], 16, 1)]
        {
            shown.apply(&operator.step(&[&at(&rows)], &Tick::default()).unwrap()).unwrap();
            watermarks.raise(1, watermark);
            operator.close(&watermarks).unwrap();
            assert_eq!(operator.rows.len(), kept, "{rows:?} {watermark}");
        }
        assert_eq!((operator.places.len(), operator.ends.len()), (1, 1));
        assert_eq!(shown.len(), 5);
    }
}
