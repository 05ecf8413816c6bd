//! Rows as bytes that compare as an order says, and back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, downcast_primitive_array};
use arrow::compute;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};

use super::project::batch;
use crate::delta::Delta;
use crate::error::{Error, Result};

/// One key of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: usize,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Whether NULLs come first.
    pub nulls_first: bool,
}

/// Writes rows of a schema as bytes in an order: its keys, then all other columns, ascending with NULLs last.
pub struct RowCodec {
    schema: SchemaRef,
    /// The column at each position of the encoded row.
    columns: Vec<usize>,
    /// The position in the encoded row of each column.
    positions: Vec<usize>,
    converter: RowConverter,
}

impl RowCodec {
    /// For rows of a schema in an order; of several keys of one column the first counts.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a column has a type without an order.
    pub fn new(schema: SchemaRef, order: impl IntoIterator<Item = SortKey>) -> Result<Self> {
        let (mut columns, mut fields) = (Vec::new(), Vec::new());
        for key in order.into_iter().chain((0..schema.fields().len()).map(SortKey::ascending)) {
            if !columns.contains(&key.column) {
                columns.push(key.column);
                fields.push(key.field(&schema));
            }
        }
        let mut positions = vec![0; columns.len()];
        for (position, column) in columns.iter().enumerate() {
            positions[*column] = position;
        }
        Ok(RowCodec { schema, columns, positions, converter: converter(fields)? })
    }

    /// The columns of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows of a delta as bytes; none where they have no columns.
    ///
    /// # Errors
    /// When a nested value cannot be encoded.
    pub fn encode(&self, delta: &Delta) -> Result<Option<Rows>> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|column| delta.column(*column).clone()).collect();
        Ok(if columns.is_empty() { None } else { Some(self.converter.convert_columns(&columns)?) })
    }

    /// The rows that were encoded so, in the order given.
    ///
    /// # Errors
    /// When the text of a column is past 2 GiB.
    pub fn decode<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<RecordBatch> {
        let parser = self.converter.parser();
        let mut count = 0;
        let rows = rows.into_iter().inspect(|_| count += 1).map(|row| parser.parse(row));
        let encoded = self.converter.convert_rows(rows)?;
        let columns = self
            .positions
            .iter()
            .zip(self.schema.fields())
            .map(|(position, field)| {
                let array = &encoded[*position];
                // arrow-row gives the values of a dictionary, not the dictionary.
                let same = array.data_type() == field.data_type();
                Ok(if same { without_garbage(array) } else { compute::cast(array, field.data_type())? })
            })
            .collect::<Result<Vec<_>>>()?;
        batch(&self.schema, columns, count)
    }
}

impl SortKey {
    /// Ascending, NULLs last.
    pub fn ascending(column: usize) -> Self {
        SortKey { column, descending: false, nulls_first: false }
    }

    /// How arrow-row orders by it.
    pub fn field(&self, schema: &SchemaRef) -> SortField {
        let options = SortOptions { descending: self.descending, nulls_first: self.nulls_first };
        SortField::new_with_options(schema.field(self.column).data_type().clone(), options)
    }
}

/// What encodes columns of an order.
///
/// # Errors
/// [`Error::Unsupported`] when a column has a type without an order.
pub fn converter(fields: Vec<SortField>) -> Result<RowConverter> {
    RowConverter::new(fields).map_err(|e| Error::unsupported(format!("a column of the ordered rows has no order: {e}")))
}

/// The array with zeros where it is NULL: arrow-row leaves the least value there, and some functions of the batch engine
/// compute with what NULL hides.
pub fn without_garbage(array: &ArrayRef) -> ArrayRef {
    fn zeroed<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> ArrayRef {
        let value = |row| if array.is_valid(row) { array.value(row) } else { T::Native::default() };
        let values = (0..array.len()).map(value).collect();
        let clean = PrimitiveArray::<T>::new(values, array.nulls().cloned());
        Arc::new(clean.with_data_type(array.data_type().clone()))
    }
    if array.null_count() == 0 {
        return array.clone();
    }
    downcast_primitive_array!(
        array => zeroed(array),
        _ => array.clone()
    )
}
