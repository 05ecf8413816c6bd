//! The rows of each group, for functions that have no other state.
//!
//! ```text
//! group -> ordered bag of (order keys, arguments), each as arrow-row bytes
//!          a touched group's rows are decoded in order and given to the batch engine's function
//! ```
//!
//! Calls with one order share the bag. A function of the first or last rows decodes no more than those.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DataFusionError, ScalarValue};

use super::bag::Bag;
use super::batch::{BatchCall, Part};
use super::state::{Change, Output, State};
use crate::error::{Error, Result};
use crate::operators::eval::is_fatal;

/// Rows of one group that a function can be given: they are numbered with 32 bits.
const GROUP_ROWS_MAX: usize = i32::MAX as usize;

/// One function over the kept rows.
pub struct Reading {
    /// The function.
    pub call: Arc<BatchCall>,
    /// Kept columns of its arguments.
    pub args: Vec<usize>,
    /// The type of its values.
    pub output: DataType,
}

/// The rows of each group.
pub struct GroupRows {
    converter: RowConverter,
    types: Vec<DataType>,
    /// So many of the columns are the order.
    order: usize,
    readings: Vec<Reading>,
    groups: Vec<Bag<Box<[u8]>>>,
    bytes: usize,
}

impl GroupRows {
    /// Keeps rows of these columns, the first `order` of which are their order.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a column is of a type that cannot be kept.
    pub fn new(columns: Vec<SortField>, types: Vec<DataType>, order: usize, readings: Vec<Reading>) -> Result<Self> {
        let converter = RowConverter::new(columns)
            .map_err(|_| Error::unsupported("an aggregate over values of a type that cannot be kept".to_owned()))?;
        Ok(GroupRows { converter, types, order, readings, groups: Vec::new(), bytes: 0 })
    }

    /// The columns of a part of a group's rows, and how many rows these are.
    fn decode(&self, group: u32, part: Part) -> Result<(Vec<ArrayRef>, usize)> {
        let bag = &self.groups[group as usize];
        let rows = bag.iter().map(|(row, weight)| (row.as_ref(), weight));
        let (mut entries, wanted) = match part {
            Part::All => (rows.collect::<Vec<(&[u8], i64)>>(), usize::MAX),
            Part::First(count) => (rows.take(count).collect(), count),
            Part::Last(count) => (rows.rev().take(count).collect(), count),
        };
        let mut total = 0;
        entries.retain_mut(|(_, weight)| {
            // Less than none is an error that the group's number of rows shows.
            let count = usize::try_from(*weight).unwrap_or(0).min(wanted - total);
            total += count;
            *weight = count as i64;
            count > 0
        });
        if total > GROUP_ROWS_MAX {
            return Err(Error::Limit(format!("a group of {total} rows; the most is {GROUP_ROWS_MAX}")));
        }
        if matches!(part, Part::Last(_)) {
            entries.reverse();
        }
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(entries.iter().map(|(row, _)| parser.parse(row)))?;
        let take = (total > entries.len()).then(|| {
            let repeat = |(at, (_, count)): (usize, &(&[u8], i64))| std::iter::repeat_n(at as u32, *count as usize);
            UInt32Array::from_iter_values(entries.iter().enumerate().flat_map(repeat))
        });
        let columns = columns.into_iter().zip(&self.types).map(|(column, data_type)| {
            let column = take.as_ref().map_or(Ok(column.clone()), |take| compute::take(&column, take, None))?;
            // A dictionary comes back as its values.
            Ok(if column.data_type() == data_type { column } else { compute::cast(&column, data_type)? })
        });
        Ok((columns.collect::<Result<_>>()?, total))
    }

    fn evaluate(&self, reading: &Reading, columns: &[ArrayRef], rows: usize) -> Result<ScalarValue, DataFusionError> {
        let args: Vec<ArrayRef> = reading.args.iter().map(|at| columns[*at].clone()).collect();
        reading.call.evaluate(&args, &columns[..self.order], rows)
    }
}

/// Bytes of an entry of a bag beside its bytes.
const ENTRY: usize = size_of::<(Box<[u8]>, i64)>();

impl State for GroupRows {
    fn grow(&mut self, groups: usize) {
        self.groups.resize_with(groups, Bag::default);
    }

    fn update(&mut self, change: &Change) -> Result<()> {
        // Where every argument is constant there is nothing to keep of a row but that it is there.
        let rows = (!self.types.is_empty()).then(|| self.converter.convert_columns(change.arguments)).transpose()?;
        change.for_each(|row, group, weight| {
            let row = rows.as_ref().map(|rows| rows.row(row));
            let row = row.as_ref().map_or(&[][..], |row| row.data());
            let bag = &mut self.groups[group];
            let before = bag.len();
            bag.add(row, weight, |row| row.into());
            match bag.len().cmp(&before) {
                Ordering::Greater => self.bytes += ENTRY + row.len(),
                Ordering::Less => self.bytes -= ENTRY + row.len(),
                Ordering::Equal => {}
            }
        });
        Ok(())
    }

    fn outputs(&self, groups: &[u32]) -> Result<Vec<Output>> {
        let mut values: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(groups.len()); self.readings.len()];
        let mut failures: Vec<Vec<(usize, String)>> = vec![Vec::new(); self.readings.len()];
        for (position, group) in groups.iter().enumerate() {
            // Rows that several functions read are decoded once.
            let mut decoded: Option<(Part, Vec<ArrayRef>, usize)> = None;
            for (at, reading) in self.readings.iter().enumerate() {
                let part = reading.call.part();
                if decoded.as_ref().is_none_or(|(of, ..)| *of != part) {
                    let (columns, rows) = self.decode(*group, part)?;
                    decoded = Some((part, columns, rows));
                }
                let (_, columns, rows) = decoded.as_ref().expect("it was just decoded");
                match self.evaluate(reading, columns, *rows) {
                    Ok(value) => values[at].push(value),
                    Err(error) if is_fatal(&error) => return Err(error.into()),
                    Err(error) => {
                        failures[at].push((position, Error::from(error).to_string()));
                        values[at].push(ScalarValue::try_new_null(&reading.output)?);
                    }
                }
            }
        }
        let outputs = self.readings.iter().zip(values).zip(failures).map(|((reading, values), failures)| {
            let values = ScalarValue::iter_to_array(values)?;
            let same = *values.data_type() == reading.output;
            Ok(Output { values: if same { values } else { compute::cast(&values, &reading.output)? }, failures })
        });
        outputs.collect()
    }

    fn clear(&mut self, group: u32) {
        let bag = std::mem::take(&mut self.groups[group as usize]);
        self.bytes -= bag.iter().map(|(kept, _)| ENTRY + kept.len()).sum::<usize>();
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Bag<Box<[u8]>>>() + self.bytes + self.converter.size()
    }
}
