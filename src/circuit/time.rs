//! Event time: how far streams have come, and which rows can change no more because of it.
//!
//! ```text
//! stream     bids                         watermark W: a row older than W is late, and no view sees it
//! column     ts                           rows to come have ts >= W
//!            date_bin('1 hour', ts)       ... and so date_bin('1 hour', ts) >= date_bin('1 hour', W)
//! bound      date_bin('1 hour', bids)     a row with less than that in the column comes no more, and goes no more
//! ```
//!
//! Moments are microseconds since 1970-01-01 UTC.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use crate::error::{Error, Result};

const DAY: i64 = 86_400_000_000;

/// How far each stream has come that has a watermark and rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watermarks(BTreeMap<u32, i64>);

impl Watermarks {
    /// The watermark of a stream; none before its first row.
    pub fn get(&self, stream: u32) -> Option<i64> {
        self.0.get(&stream).copied()
    }

    /// Moves a stream's watermark forward; it never goes back. Returns whether it moved.
    pub fn raise(&mut self, stream: u32, moment: i64) -> bool {
        let place = self.0.entry(stream).or_insert(i64::MIN);
        let moves = *place < moment;
        *place = moment.max(*place);
        moves
    }
}

/// A moment that moves with watermarks, and never back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// The watermark of a stream.
    Watermark(u32),
    /// So many microseconds later, or earlier.
    Shifted(Box<Bound>, i64),
    /// What a function makes of it.
    Mapped(Box<Bound>, Rising),
    /// The earliest of several.
    Least(Vec<Bound>),
}

impl Bound {
    /// Where the bound is; nowhere while a stream has no watermark yet.
    pub fn at(&self, watermarks: &Watermarks) -> Option<i64> {
        match self {
            Bound::Watermark(stream) => watermarks.get(*stream),
            Bound::Shifted(bound, by) => Some(bound.at(watermarks)?.saturating_add(*by)),
            Bound::Mapped(bound, rising) => (rising.function)(bound.at(watermarks)?),
            Bound::Least(bounds) => {
                bounds.iter().map(|bound| bound.at(watermarks)).collect::<Option<Vec<_>>>()?.into_iter().min()
            }
        }
    }

    /// The bound moved by microseconds.
    #[must_use]
    pub fn shifted(self, by: i64) -> Bound {
        match self {
            bound if by == 0 => bound,
            Bound::Shifted(bound, before) => bound.shifted(before.saturating_add(by)),
            bound => Bound::Shifted(Box::new(bound), by),
        }
    }

    /// The earlier one of two.
    #[must_use]
    pub fn or(self, other: Bound) -> Bound {
        if self == other {
            return self;
        }
        let parts = |bound| if let Bound::Least(parts) = bound { parts } else { vec![bound] };
        let mut all = parts(self);
        for part in parts(other) {
            if !all.contains(&part) {
                all.push(part);
            }
        }
        Bound::Least(all)
    }

    /// The streams whose watermarks move it.
    pub fn streams(&self) -> Vec<u32> {
        let mut found = match self {
            Bound::Watermark(stream) => vec![*stream],
            Bound::Shifted(bound, _) | Bound::Mapped(bound, _) => bound.streams(),
            Bound::Least(bounds) => bounds.iter().flat_map(Bound::streams).collect(),
        };
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// A function of a moment that never falls when the moment rises. Two of one text are one.
#[derive(Clone)]
pub struct Rising {
    text: String,
    function: Arc<dyn Fn(i64) -> Option<i64> + Send + Sync>,
}

impl Rising {
    /// A function; `text` tells everything about it. It gives nothing where it fails.
    pub fn new(text: String, function: impl Fn(i64) -> Option<i64> + Send + Sync + 'static) -> Self {
        Rising { text, function: Arc::new(function) }
    }
}

impl PartialEq for Rising {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Rising {}

impl fmt::Debug for Rising {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A column whose rows before a bound change no more. NULL is no moment: such rows may change for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The column, of a type that [`has_moments`].
    pub column: usize,
    /// The bound.
    pub bound: Bound,
}

impl Closing {
    /// The same column in another place.
    pub fn at(&self, column: usize) -> Closing {
        Closing { column, bound: self.bound.clone() }
    }
}

/// Whether values of a type are moments.
pub fn has_moments(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// The moments of a column of timestamps or dates; what lies between two microseconds counts as the earlier one.
pub fn moments(column: &ArrayRef) -> Option<Int64Array> {
    Some(match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => scaled::<TimestampSecondType>(column, 1_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => scaled::<TimestampMillisecondType>(column, 1_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => scaled::<TimestampMicrosecondType>(column, 1),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            column.as_primitive::<TimestampNanosecondType>().unary(|value| value.div_euclid(1_000))
        }
        DataType::Date32 => scaled::<Date32Type>(column, DAY),
        DataType::Date64 => scaled::<Date64Type>(column, 1_000),
        _ => return None,
    })
}

/// The moments of a column that closes.
///
/// # Errors
/// [`Error::Internal`] where it has none.
pub fn moments_of(column: &ArrayRef) -> Result<Int64Array> {
    moments(column).ok_or_else(|| Error::Internal("a column that closes has no moments".into()))
}

fn scaled<T: ArrowPrimitiveType>(column: &ArrayRef, by: i64) -> Int64Array
where
    T::Native: Into<i64>,
{
    let column: &PrimitiveArray<T> = column.as_primitive();
    column.unary(|value| Into::<i64>::into(value).saturating_mul(by))
}

/// A moment as one value of a column of that type; what is between two of its values becomes the earlier one.
pub fn moment_as(moment: i64, data_type: &DataType) -> Option<ArrayRef> {
    let timestamps = |values: ArrayRef| arrow::compute::cast(&values, data_type).ok();
    match data_type {
        DataType::Timestamp(unit, _) => {
            let value = match unit {
                TimeUnit::Second => moment.div_euclid(1_000_000),
                TimeUnit::Millisecond => moment.div_euclid(1_000),
                TimeUnit::Microsecond => moment,
                TimeUnit::Nanosecond => moment.checked_mul(1_000)?,
            };
            timestamps(Arc::new(Int64Array::from(vec![value])))
        }
        DataType::Date32 => {
            let days = i32::try_from(moment.div_euclid(DAY)).ok()?;
            Some(Arc::new(PrimitiveArray::<Date32Type>::from(vec![days])))
        }
        DataType::Date64 => {
            Some(Arc::new(PrimitiveArray::<Date64Type>::from(vec![moment.div_euclid(DAY) * DAY / 1_000])))
        }
        _ => None,
    }
}

/// The first value of a type that is not before a moment, as one value of a column.
pub fn first_value_from(moment: i64, data_type: &DataType) -> Option<ArrayRef> {
    let unit = match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000,
        DataType::Date32 | DataType::Date64 => DAY,
        _ => 1,
    };
    moment_as(moment.saturating_add(unit - 1), data_type)
}

/// A length of time in words.
pub fn show_length(micros: i64) -> String {
    const UNITS: [(i64, &str); 5] =
        [(DAY, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms")];
    let unit = UNITS.iter().find(|(unit, _)| micros != 0 && micros % unit == 0);
    unit.map_or_else(|| format!("{micros} us"), |(unit, name)| format!("{} {name}", micros / unit))
}

/// A moment in words.
pub fn show_moment(moment: i64) -> String {
    let shown = moment_as(moment, &DataType::Timestamp(TimeUnit::Microsecond, None))
        .and_then(|value| arrow::util::display::array_value_to_string(&value, 0).ok());
    shown.unwrap_or_else(|| format!("{moment} us"))
}

/// Rows by the moment after which they change no more, so that they are found when it has come.
#[derive(Debug, Default)]
pub struct Due {
    /// Ids by moment, rounded up so that neighbours share an entry.
    ids: BTreeMap<i64, Vec<u32>>,
    count: usize,
}

/// Moments that share an entry, in microseconds: a row may be kept so much longer than it need be.
const DUE_WIDTH: i64 = 1 << 17;
/// Ids of an entry from which on it is looked for equal ones before more memory is taken.
const DUE_IDS_TOLD_APART: usize = 1 << 10;

impl Due {
    /// Notes an id that is due when the bound is past a moment.
    pub fn push(&mut self, moment: i64, id: u32) {
        let entry = moment.div_euclid(DUE_WIDTH).saturating_add(1).saturating_mul(DUE_WIDTH);
        let ids = self.ids.entry(entry).or_default();
        self.count += 1;
        // One id may be noted again and again.
        if ids.len() == ids.capacity() && ids.len() >= DUE_IDS_TOLD_APART {
            self.count -= ids.len();
            ids.sort_unstable();
            ids.dedup();
            self.count += ids.len();
        }
        ids.push(id);
    }

    /// Takes the ids that are due at a bound, as far as neighbours are. An id may have come to stand for something else
    /// since it was noted.
    pub fn take(&mut self, bound: i64) -> Vec<u32> {
        self.take_until(bound)
    }

    /// Takes the ids that are due at a bound, and neighbours of them that are not: these are to be noted again.
    pub fn take_begun(&mut self, bound: i64) -> Vec<u32> {
        self.take_until(bound.saturating_add(DUE_WIDTH - 1))
    }

    /// The moment from which on there is something to take.
    pub fn next(&self) -> Option<i64> {
        self.ids.first_key_value().map(|(entry, _)| entry - DUE_WIDTH)
    }

    fn take_until(&mut self, last: i64) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some(entry) = self.ids.first_entry().filter(|entry| *entry.key() <= last) {
            taken.extend(entry.remove());
        }
        self.count -= taken.len();
        taken.sort_unstable();
        taken.dedup();
        taken
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.count * 4 + self.ids.len() * 64
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, TimestampNanosecondArray};

    use super::*;

    #[test]
    fn bounds_follow_their_watermarks() {
        let hour = Rising::new("hour".into(), |moment| Some(moment.div_euclid(3_600_000_000) * 3_600_000_000));
        let bound = Bound::Mapped(Box::new(Bound::Watermark(1)), hour.clone()).or(Bound::Watermark(2).shifted(-5));
        let mut watermarks = Watermarks::default();
        assert!(watermarks.raise(1, 3_600_000_007));
        assert_eq!(bound.at(&watermarks), None);
        watermarks.raise(2, 4_000_000_000);
        assert_eq!(bound.at(&watermarks), Some(3_600_000_000));
        assert!(!watermarks.raise(1, 9));
        assert!(watermarks.raise(1, 7_300_000_000));
        assert_eq!(bound.at(&watermarks), Some(3_999_999_995));
        assert_eq!(bound.streams(), [1, 2]);
        assert_eq!(bound.clone().or(Bound::Watermark(2).shifted(-5)), bound);
    }

    #[test]
    fn moments_are_rounded_down() {
        let column: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(1_999), None, Some(-1)]));
        assert_eq!(moments(&column).unwrap(), Int64Array::from(vec![Some(1), None, Some(-1)]));
        let days: ArrayRef = Arc::new(Date32Array::from(vec![-1]));
        assert_eq!(moments(&days).unwrap().value(0), -DAY);
        for data_type in [DataType::Date32, DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))] {
            let back = moment_as(-1, &data_type).unwrap();
            assert_eq!(back.data_type(), &data_type);
            assert!(moments(&back).unwrap().value(0) < 0);
        }
        assert_eq!(show_moment(0), "1970-01-01T00:00:00");
        assert_eq!((show_length(90_000_000), show_length(DAY * 7)), ("90 s".into(), "7 d".into()));
        for moment in [-1, 1_000_000, 1_000_001] {
            let first = first_value_from(moment, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
            let first = moments(&first).unwrap().value(0);
            assert!(first >= moment && first - 1_000_000 < moment);
        }
    }

    #[test]
    fn what_is_due_is_found_once() {
        let mut due = Due::default();
        due.push(DUE_WIDTH * 3 - 1, 7);
        due.push(0, 8);
        due.push(1, 8);
        assert!(due.take(DUE_WIDTH - 1).is_empty());
        assert_eq!(due.take(DUE_WIDTH), [8]);
        assert!(due.take_begun(DUE_WIDTH * 2).is_empty());
        assert_eq!(due.next(), Some(DUE_WIDTH * 2));
        assert_eq!(due.take_begun(DUE_WIDTH * 2 + 1), [7]);
        assert_eq!(due.bytes(), 0);
    }
}
