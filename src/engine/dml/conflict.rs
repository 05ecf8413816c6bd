//! ON CONFLICT: what becomes of a row whose primary key is there already.
//!
//! Rows are taken in their order, as PostgreSQL does: a row that was put in or changed by the statement is not changed a
//! second time.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast;

use super::Effect;
use super::assign::{Assignment, assigned, assignments, column, place};
use super::fit::the_row;
use super::names::{Context, put_with};
use super::scope::{Scope, known};
use crate::delta::Delta;
use crate::delta::columns::ABSENT;
use crate::delta::index::KeyIndex;
use crate::delta::values::Zeros;
use crate::engine::catalog::Object;
use crate::engine::constraint::Constraints;
use crate::error::{Error, Result};
use crate::operators::eval::show_row;
use crate::operators::project::batch as with_schema;

/// What the row to be inserted is called in DO UPDATE.
const EXCLUDED: &str = "excluded";

/// What is done about a key that is there already.
pub enum OnConflict {
    /// The row is left out.
    Nothing,
    /// The row that is there is changed.
    Update {
        /// How.
        set: Vec<Assignment>,
        /// Which rows; all where there is none.
        condition: Option<Box<ast::Expr>>,
    },
}

impl OnConflict {
    /// Reads the clause; nothing where it says nothing, as for a table without a key.
    ///
    /// # Errors
    /// When it is about anything but the primary key.
    pub fn new(target: &Object, clause: ast::OnInsert, with: Option<&ast::With>) -> Result<Option<Self>> {
        let ast::OnInsert::OnConflict(ast::OnConflict { conflict_target, action }) = clause else {
            return Err(Error::unsupported("ON DUPLICATE KEY UPDATE is not supported")
                .with_hint("write ON CONFLICT (key) DO UPDATE SET ..."));
        };
        check_target(target, conflict_target.as_ref())?;
        match action {
            ast::OnConflictAction::DoNothing if target.key.is_empty() => Ok(None),
            ast::OnConflictAction::DoNothing => Ok(Some(OnConflict::Nothing)),
            ast::OnConflictAction::DoUpdate(ast::DoUpdate { mut assignments, mut selection }) => {
                if conflict_target.is_none() {
                    let error = Error::input("ON CONFLICT DO UPDATE needs the columns of the primary key");
                    return Err(error.with_hint(format!("write ON CONFLICT {}", key_names(target))));
                }
                assignments.iter_mut().for_each(|assignment| put_with(with, &mut assignment.value));
                selection.iter_mut().for_each(|condition| put_with(with, condition));
                let set = self::assignments(assignments, target, "ON CONFLICT DO UPDATE")?;
                Ok(Some(OnConflict::Update { set, condition: selection.map(Box::new) }))
            }
        }
    }

    /// The change that rows to be inserted come to. `called` is what the statement calls its target.
    ///
    /// # Errors
    /// When an expression fails, a constraint is broken, or a row would be changed a second time.
    pub fn effect(&self, context: &Context<'_>, called: &str, proposed: &RecordBatch) -> Result<Effect> {
        let keys = Keys::new(context, proposed)?;
        let mut taken = vec![false; keys.present.len()];
        let (mut inserted, mut conflicts) = (Vec::new(), Vec::new());
        for (row, id) in keys.ids.iter().enumerate() {
            let id = *id as usize;
            if keys.present[id].is_some() {
                conflicts.push(row as u32);
            } else if !std::mem::replace(&mut taken[id], true) {
                inserted.push(row as u32);
            } else if matches!(self, OnConflict::Update { .. }) {
                return Err(second_time(context.target, proposed, row));
            }
        }
        let new = Delta::insert(proposed.clone()).take(&inserted)?;
        let OnConflict::Update { set, condition } = self else {
            return Effect::new(context, RecordBatch::new_empty(context.schema()), new.batch.clone(), &new.batch);
        };
        let old = keys.rows_there(&conflicts, &context.schema())?;
        let excluded = Delta::insert(proposed.clone()).take(&conflicts)?.batch;
        let columns = [known(called, &old), known(EXCLUDED, &excluded)].concat();
        let values: Vec<ArrayRef> = [old.columns(), excluded.columns()].concat();
        let scope = Scope::new(columns, values, conflicts.len())?;
        let which = |error: Error| match error {
            Error::Input(e) if e.message.contains("could be any of several") => Error::Input(e).with_hint(format!(
                "`{called}` is the row that is there, `{EXCLUDED}` the one that was to be inserted"
            )),
            error => error,
        };
        let met = match condition {
            Some(condition) => scope.filter(context, "ON CONFLICT DO UPDATE ... WHERE", condition).map_err(which)?,
            None => (0..conflicts.len() as u32).collect(),
        };
        let mut is_met = vec![false; conflicts.len()];
        met.iter().for_each(|at| is_met[*at as usize] = true);
        let mut affected = vec![false; keys.present.len()];
        for (at, row) in conflicts.iter().enumerate() {
            let affected = &mut affected[keys.ids[*row as usize] as usize];
            if *affected {
                return Err(second_time(context.target, proposed, *row as usize));
            }
            *affected |= is_met[at];
        }
        let scope = scope.take(&met)?;
        let old = Delta::insert(old).take(&met)?.batch;
        let row = |at: usize| the_row(&old, at);
        let changed = assigned(context, &scope, old.columns(), set, &row).map_err(which)?;
        let changed = with_schema(&context.schema(), changed, old.num_rows())?;
        Constraints::new(context.runner.session(), context.target)?.check(&changed)?;
        // Rows are given back in the order in which they were proposed.
        let mut order: Vec<(u32, (usize, usize))> = Vec::new();
        order.extend(inserted.iter().enumerate().map(|(at, row)| (*row, (0, at))));
        order.extend(met.iter().enumerate().map(|(at, conflict)| (conflicts[*conflict as usize], (1, at))));
        order.sort_unstable();
        let places: Vec<(usize, usize)> = order.into_iter().map(|(_, place)| place).collect();
        let after = match places.is_empty() {
            true => RecordBatch::new_empty(context.schema()),
            false => interleave_record_batch(&[&new.batch, &changed], &places)?,
        };
        let put_in = concat_batches(&context.schema(), [&new.batch, &changed])?;
        Effect::new(context, old, put_in, &after)
    }
}

/// The keys of rows to be inserted, and the rows that have them.
struct Keys<'a> {
    /// The key of each row, by a number.
    ids: Vec<u32>,
    /// The row with each key: its batch and place there.
    present: Vec<Option<(usize, usize)>>,
    rows: &'a [Arc<RecordBatch>],
}

impl<'a> Keys<'a> {
    fn new(context: &Context<'a>, proposed: &RecordBatch) -> Result<Self> {
        let keys = |batch: &RecordBatch| -> Vec<ArrayRef> {
            context.target.key.iter().map(|at| batch.column(*at).clone()).collect()
        };
        let columns = keys(proposed);
        let types: Vec<_> = columns.iter().map(|column| column.data_type().clone()).collect();
        let mut index = KeyIndex::new(&types, Zeros::Folded)?;
        let mut ids = Vec::new();
        index.intern(&columns, proposed.num_rows(), &mut ids)?;
        let mut present = vec![None; ids.iter().max().map_or(0, |id| *id as usize + 1)];
        let mut found = Vec::new();
        for (number, batch) in context.rows.iter().enumerate() {
            index.find(&keys(batch), batch.num_rows(), &mut found)?;
            for (row, id) in found.iter().enumerate().filter(|(_, id)| **id != ABSENT) {
                present[*id as usize] = Some((number, row));
            }
        }
        Ok(Keys { ids, present, rows: context.rows })
    }

    /// For each of some rows to be inserted, the row that has its key.
    fn rows_there(&self, rows: &[u32], schema: &SchemaRef) -> Result<RecordBatch> {
        let place = |row: &u32| self.present[self.ids[*row as usize] as usize].expect("the row was found to conflict");
        let places: Vec<(usize, usize)> = rows.iter().map(place).collect();
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(schema.clone()));
        }
        let batches: Vec<&RecordBatch> = self.rows.iter().map(AsRef::as_ref).collect();
        let rows = interleave_record_batch(&batches, &places)?;
        with_schema(schema, rows.columns().to_vec(), places.len())
    }
}

fn second_time(target: &Object, proposed: &RecordBatch, row: usize) -> Error {
    let key = proposed.project(&target.key).map(|key| show_row(&key, row)).unwrap_or_default();
    Error::input(format!(
        "ON CONFLICT DO UPDATE cannot affect row a second time: table `{}` is given the primary key {key} twice",
        target.name
    ))
    .with_hint("a key may be among the rows of one statement once")
}

/// The columns of the primary key in parentheses.
fn key_names(target: &Object) -> String {
    let names: Vec<&str> = target.key.iter().map(|at| target.schema.field(*at).name().as_str()).collect();
    format!("({})", names.join(", "))
}

fn check_target(target: &Object, conflict_target: Option<&ast::ConflictTarget>) -> Result<()> {
    let columns = match conflict_target {
        None => return Ok(()),
        Some(ast::ConflictTarget::OnConstraint(name)) => {
            let error = Error::unsupported(format!("ON CONFLICT ON CONSTRAINT `{name}` is not supported"));
            return Err(match target.key.is_empty() {
                true => error,
                false => error.with_hint(format!("name the primary key: ON CONFLICT {}", key_names(target))),
            });
        }
        Some(ast::ConflictTarget::Columns(columns)) => columns,
    };
    let mut named = columns.iter().map(|name| column(target, name)).collect::<Result<Vec<_>>>()?;
    let mut key = target.key.clone();
    named.sort_unstable();
    named.dedup();
    key.sort_unstable();
    if !key.is_empty() && named == key {
        return Ok(());
    }
    let message = match key.is_empty() {
        true => format!("ON CONFLICT: table `{}` has no primary key", target.name),
        false => {
            format!("ON CONFLICT takes the primary key of table `{}`, which is {}", target.name, key_names(target))
        }
    };
    Err(Error::input(message).with_place(columns.first().and_then(|name| place(name.span))))
}
