//! Carries lookups out: keys to the engine, and the rest over the rows that it finds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_empty_array};
use arrow::compute::{SortColumn, concat, filter_record_batch, lexsort_to_indices, take_record_batch};
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::recognize::keeps_apart;
use super::{Formula, KEYS_MAX, KeyPart, Lookup, Step};
use crate::engine::core::ask;
use crate::engine::database::Database;
use crate::engine::find::Wanted;
use crate::engine::query::Rows;
use crate::engine::request::Request;
use crate::error::{Error, Result};
use crate::operators::project::batch as with_schema;
use crate::sql::lower::nullable;

/// What several lookups give at one moment, with its offset. Nothing where one of them cannot be answered that way: its
/// relation has gone, or it has too many keys.
///
/// # Errors
/// When a view cannot be read, or an expression fails on a row that was found.
pub fn read(database: &Database, lookups: &[(&Lookup, &[ScalarValue])]) -> Result<Option<(u64, Vec<Rows>)>> {
    let wanted = lookups.iter().map(|(lookup, values)| lookup.wanted(values)).collect::<Result<Option<Vec<_>>>>()?;
    let Some(wanted) = wanted else { return Ok(None) };
    let found = ask(&database.inner().engine, |reply| Request::Find(wanted, reply)).wait()?;
    let mut results = Vec::with_capacity(lookups.len());
    for ((lookup, values), rows) in lookups.iter().zip(found.rows) {
        let Some(rows) = rows else { return Ok(None) };
        rows.check(&format!("view `{}`", lookup.object.name))?;
        let batch = match rows.chunks.first() {
            Some(chunk) => chunk.as_ref().clone(),
            None => RecordBatch::new_empty(rows.schema.clone()),
        };
        results.push(lookup.finish(batch, values)?);
    }
    Ok(Some((found.offset, results)))
}

impl Lookup {
    /// The keys that are asked for; nothing when they are too many.
    fn wanted(&self, values: &[ScalarValue]) -> Result<Option<Wanted>> {
        let mut columns: Vec<Vec<ScalarValue>> = Vec::with_capacity(self.key.len());
        for part in &self.key {
            let Some(values) = part.values(values)? else { return Ok(None) };
            columns.push(values);
        }
        let count = columns.iter().try_fold(1usize, |count, values| count.checked_mul(values.len()));
        let Some(count) = count.filter(|count| *count <= KEYS_MAX) else { return Ok(None) };
        let mut keys = Vec::with_capacity(columns.len());
        // Every value of one column with every value of the others.
        let mut repeat = count;
        for (part, values) in self.key.iter().zip(columns) {
            if count == 0 {
                keys.push(new_empty_array(&part.data_type));
                continue;
            }
            repeat /= values.len();
            let all = (0..count).map(|row| values[row / repeat % values.len()].clone());
            keys.push(ScalarValue::iter_to_array(all)?);
        }
        let columns = self.key.iter().map(|part| part.column).collect();
        Ok(Some(Wanted { object: self.object.id, columns, keys, count }))
    }

    /// What the query makes of the rows with its keys.
    fn finish(&self, mut batch: RecordBatch, values: &[ScalarValue]) -> Result<Rows> {
        for step in &self.steps {
            batch = step.apply(&batch, values)?;
        }
        let batch = with_schema(&nullable(&self.schema), batch.columns().to_vec(), batch.num_rows())?;
        let batches = if batch.num_rows() == 0 { Vec::new() } else { vec![batch] };
        Ok(Rows { schema: nullable(&self.schema), batches })
    }
}

impl KeyPart {
    /// The values that the column can have, of its type; NULL equals none. Nothing where a value does not tell.
    fn values(&self, parameters: &[ScalarValue]) -> Result<Option<Vec<ScalarValue>>> {
        let mut values = Vec::with_capacity(self.values.len());
        for formula in &self.values {
            let value = formula.value(parameters)?;
            if value.is_null() {
                continue;
            }
            if value.data_type() == self.data_type {
                values.push(value);
                continue;
            }
            // The column is compared in another type.
            if !keeps_apart(&self.data_type, &value.data_type()) {
                return Ok(None);
            }
            if let Ok(own) = value.cast_to(&self.data_type)
                && !own.is_null()
            {
                values.push(own);
            }
        }
        Ok(Some(values))
    }
}

impl Formula {
    /// The value of an expression over nothing but constants and parameters.
    fn value(&self, parameters: &[ScalarValue]) -> Result<ScalarValue> {
        use datafusion::logical_expr::Expr;
        match &self.expr {
            Expr::Literal(value, _) => return Ok(value.clone()),
            Expr::Placeholder(_) => {
                if let Expr::Literal(value, _) = crate::sql::parameters::with_values(self.expr.clone(), parameters)? {
                    return Ok(value);
                }
            }
            _ => {}
        }
        let schema = Arc::new(self.schema.as_arrow().clone());
        let array = evaluate(&self.with(parameters)?, &with_schema(&schema, Vec::new(), 1)?)?;
        Ok(ScalarValue::try_from_array(&array, 0)?)
    }

    /// A number of rows.
    fn count(&self, parameters: &[ScalarValue], clause: &str) -> Result<Option<usize>> {
        let value = self.value(parameters)?;
        if value.is_null() {
            return Ok(None);
        }
        match value.cast_to(&arrow::datatypes::DataType::Int64)? {
            ScalarValue::Int64(Some(count)) if count >= 0 => Ok(Some(count as usize)),
            _ => Err(Error::input(format!("{clause} must not be negative, and {value} was given"))),
        }
    }
}

impl Step {
    fn apply(&self, batch: &RecordBatch, values: &[ScalarValue]) -> Result<RecordBatch> {
        match self {
            Step::Pick(columns) => Ok(batch.project(columns)?),
            Step::Filter(condition) => {
                let keep = evaluate(&condition.with(values)?, batch)?;
                let keep = keep.as_boolean_opt().ok_or_else(|| Error::input("the condition is not a BOOLEAN"))?;
                Ok(filter_record_batch(batch, keep)?)
            }
            Step::Project(exprs, schema) => {
                let columns = exprs.iter().map(|expr| evaluate(&expr.with(values)?, batch)).collect::<Result<_>>()?;
                with_schema(schema, columns, batch.num_rows())
            }
            Step::Sort(keys, fetch) => {
                if batch.num_rows() < 2 {
                    return Ok(first(batch, 0, *fetch));
                }
                let column = |(key, options): &(Formula, _)| -> Result<SortColumn> {
                    Ok(SortColumn { values: evaluate(&key.with(values)?, batch)?, options: Some(*options) })
                };
                let columns = keys.iter().map(column).collect::<Result<Vec<_>>>()?;
                Ok(take_record_batch(batch, &lexsort_to_indices(&columns, *fetch)?)?)
            }
            Step::Limit(skip, fetch) => {
                let skip = skip.as_ref().map(|skip| skip.count(values, "OFFSET")).transpose()?.flatten();
                let fetch = fetch.as_ref().map(|fetch| fetch.count(values, "LIMIT")).transpose()?.flatten();
                Ok(first(batch, skip.unwrap_or(0), fetch))
            }
        }
    }
}

fn first(batch: &RecordBatch, skip: usize, fetch: Option<usize>) -> RecordBatch {
    let skip = skip.min(batch.num_rows());
    let left = batch.num_rows() - skip;
    batch.slice(skip, fetch.map_or(left, |fetch| fetch.min(left)))
}

/// The values of an expression, which may fail for a batch because of a row that a condition within it leaves out: only
/// what fails on its own row counts.
fn evaluate(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef> {
    let rows = batch.num_rows();
    let whole = |batch: &RecordBatch| expr.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
    if rows == 0 {
        return Ok(new_empty_array(&expr.data_type(&batch.schema())?));
    }
    match whole(batch) {
        Err(_) if rows > 1 => {
            let each = (0..rows).map(|row| whole(&batch.slice(row, 1))).collect::<Result<Vec<_>, _>>()?;
            Ok(concat(&each.iter().map(|array| array.as_ref() as &dyn Array).collect::<Vec<_>>())?)
        }
        values => Ok(values?),
    }
}
