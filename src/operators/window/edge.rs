//! Where a span of rows ends.

use datafusion::common::ScalarValue;

use super::Window;
use super::distance::{number, with_number};
use super::reach::Span;
use crate::error::Result;
use crate::operators::ordered::{Entry, Key};

/// A span from a row on, to one side.
pub(super) struct Extent {
    span: Span,
    /// The bytes of the farthest place in the order that still is in range.
    place: Option<Vec<u8>>,
    before: bool,
}

impl Extent {
    /// A span without a range.
    pub fn of(span: Span, before: bool) -> Extent {
        Extent { span, place: None, before }
    }

    /// Whether a row lies in the span, with so many rows and groups of peers between.
    pub fn holds(&self, key: &Key, entry: &Entry, rows: usize, groups: usize) -> bool {
        let in_range = |place: &Vec<u8>| match self.before {
            true => key.as_ref() >= place.as_slice(),
            false => &key[..entry.peers] <= place.as_slice(),
        };
        self.span.all
            || rows < self.span.rows
            || self.span.groups.is_some_and(|most| groups <= most)
            || self.place.as_ref().is_some_and(in_range)
    }
}

impl Window {
    /// The span before a row of a partition, or behind it.
    pub(super) fn extent(&self, partition: &[u8], row: &Key, span: Span, before: bool) -> Result<Extent> {
        let mut extent = Extent::of(span, before);
        let (Some(distance), Some(order)) = (span.range, self.ordered_by) else { return Ok(extent) };
        let columns = self.rows.decode([row])?;
        let value = ScalarValue::try_from_array(columns.column(order.column), 0)?;
        let Some(Some(number)) = number(&value) else {
            // In range of NULL are its peers.
            extent.span.all |= !value.is_null();
            return Ok(extent);
        };
        let away = if before == order.descending { distance } else { -distance };
        // Beyond what the type can hold there is nothing to leave out.
        match number.checked_add(away).and_then(|number| with_number(&value, number)) {
            Some(end) => extent.place = Some(self.rows.place(partition, &end.to_array()?)?),
            None => extent.span.all = true,
        }
        Ok(extent)
    }
}
