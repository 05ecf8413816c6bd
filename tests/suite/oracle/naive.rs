//! What the statements with two tables do, row by row and pair by pair, with nothing planned.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;

use super::bag::texts;
use super::case::Relation;
use super::change::{Action, Clause, OTHER, Set, TARGET, When};
use super::reference::{expression, keys};

/// What evaluates expressions.
pub struct Naive<'a> {
    pub state: &'a SessionState,
    pub relation: &'a Relation,
    pub schema: SchemaRef,
}

fn refused(why: &str) -> DataFusionError {
    DataFusionError::Execution(why.into())
}

impl Naive<'_> {
    /// One value over one row of each table.
    fn value(&self, expr: &str, row: &[(&str, RecordBatch)]) -> Result<arrow::array::ArrayRef> {
        let mut fields = Vec::new();
        let mut known: Option<DFSchema> = None;
        let mut columns = Vec::new();
        for (name, row) in row {
            let schema = DFSchema::try_from_qualified_schema(*name, &row.schema())?;
            known = Some(match known {
                None => schema,
                Some(known) => known.join(&schema)?,
            });
            fields.extend(row.schema().fields().iter().cloned());
            columns.extend(row.columns().iter().cloned());
        }
        let known = known.expect("there is a table");
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        expression(self.state, expr, &known)?.evaluate(&batch)?.into_array(1)
    }

    fn is_true(&self, condition: Option<&str>, row: &[(&str, RecordBatch)]) -> Result<bool> {
        let Some(condition) = condition else { return Ok(true) };
        let value = self.value(condition, row)?;
        Ok(value.as_boolean_opt().is_some_and(|value| value.iter().next().flatten() == Some(true)))
    }

    /// A row with another value in one column.
    fn with(&self, old: &RecordBatch, column: usize, value: &str, row: &[(&str, RecordBatch)]) -> Result<RecordBatch> {
        let mut columns = old.columns().to_vec();
        columns[column] = self.value(&format!("CAST({value} AS {})", self.relation.columns[column].sql_type), row)?;
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    /// ON CONFLICT: the rows of a table after `new` ones were put in.
    pub fn upsert(&self, old: &RecordBatch, new: &RecordBatch, set: Option<&Set>) -> Result<RecordBatch> {
        let mut rows: Vec<RecordBatch> = (0..old.num_rows()).map(|at| old.slice(at, 1)).collect();
        let mut there = keys(self.relation, old);
        let mut touched = HashSet::new();
        for (at, key) in keys(self.relation, new).into_iter().enumerate() {
            let new = new.slice(at, 1);
            let Some(place) = there.iter().position(|other| *other == key) else {
                rows.push(new);
                there.push(key.clone());
                touched.insert(key);
                continue;
            };
            let Some(set) = set else { continue };
            if touched.contains(&key) {
                return Err(refused("a row is changed twice"));
            }
            let pair = [(TARGET, rows[place].clone()), ("excluded", new)];
            if self.is_true(set.condition.as_deref(), &pair)? {
                rows[place] = self.with(&rows[place], set.column, &set.value, &pair)?;
                touched.insert(key);
            }
        }
        self.all(&rows)
    }

    /// UPDATE ... FROM, and DELETE ... USING where there is nothing to set.
    pub fn joined(&self, rows: &RecordBatch, others: &RecordBatch, set: Option<&Set>, on: &str) -> Result<RecordBatch> {
        let mut after = Vec::new();
        for at in 0..rows.num_rows() {
            let old = rows.slice(at, 1);
            let mut next: Option<Option<RecordBatch>> = None;
            for other in 0..others.num_rows() {
                let pair = [(TARGET, old.clone()), (OTHER, others.slice(other, 1))];
                if !self.is_true(Some(on), &pair)? {
                    continue;
                }
                let new = set.map(|set| self.with(&old, set.column, &set.value, &pair)).transpose()?;
                if let (Some(Some(first)), Some(new)) = (&next, &new)
                    && texts(first) != texts(new)
                {
                    return Err(refused("a row would become different ones"));
                }
                next = Some(new);
            }
            after.extend(next.unwrap_or(Some(old)));
        }
        self.all(&after)
    }

    /// MERGE.
    pub fn merge(&self, rows: &RecordBatch, others: &RecordBatch, on: &str, clauses: &[Clause]) -> Result<RecordBatch> {
        let mut met = HashSet::new();
        let mut after = Vec::new();
        let mut inserted = Vec::new();
        for at in 0..rows.num_rows() {
            let old = rows.slice(at, 1);
            let (mut matched, mut next) = (false, None);
            for other in 0..others.num_rows() {
                let pair = [(TARGET, old.clone()), (OTHER, others.slice(other, 1))];
                if !self.is_true(Some(on), &pair)? {
                    continue;
                }
                matched = true;
                met.insert(other);
                let Some(new) = self.act(clauses, When::Both, Some(&old), &pair)? else { continue };
                if next.replace(new).is_some() {
                    return Err(refused("a row is changed twice"));
                }
            }
            if !matched {
                next = self.act(clauses, When::TargetOnly, Some(&old), &[(TARGET, old.clone())])?;
            }
            after.extend(next.unwrap_or(Some(old)));
        }
        for other in (0..others.num_rows()).filter(|other| !met.contains(other)) {
            let row = [(OTHER, others.slice(other, 1))];
            inserted.extend(self.act(clauses, When::SourceOnly, None, &row)?.flatten());
        }
        after.extend(inserted);
        self.all(&after)
    }

    /// What the first clause that fits makes of a row: nothing, where none does; no row, where it deletes.
    fn act(
        &self,
        clauses: &[Clause],
        when: When,
        old: Option<&RecordBatch>,
        row: &[(&str, RecordBatch)],
    ) -> Result<Option<Option<RecordBatch>>> {
        for clause in clauses.iter().filter(|clause| clause.when == when) {
            if !self.is_true(clause.condition.as_deref(), row)? {
                continue;
            }
            return Ok(match (&clause.action, old) {
                (Action::Update { column, value }, Some(old)) => Some(Some(self.with(old, *column, value, row)?)),
                (Action::Delete, _) => Some(None),
                (Action::Insert(values), _) => {
                    let value = |(value, column): (&String, &super::value::Column)| {
                        self.value(&format!("CAST({value} AS {})", column.sql_type), row)
                    };
                    let columns = values.iter().zip(&self.relation.columns).map(value).collect::<Result<_>>()?;
                    Some(Some(RecordBatch::try_new(self.schema.clone(), columns)?))
                }
                _ => None,
            });
        }
        Ok(None)
    }

    /// The rows of a table; no key may be there twice.
    fn all(&self, rows: &[RecordBatch]) -> Result<RecordBatch> {
        let all = concat_batches(&self.schema, rows)?;
        if !self.relation.key.is_empty() {
            let keys = keys(self.relation, &all);
            if keys.iter().collect::<HashSet<_>>().len() < keys.len() {
                return Err(refused("a key would be there twice"));
            }
        }
        Ok(all)
    }
}
