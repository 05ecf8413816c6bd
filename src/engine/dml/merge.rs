//! MERGE: the target joined with a source, and for each row of that the first WHEN that fits it.
//!
//! ```text
//! target JOIN source -> matched            -> UPDATE, DELETE, DO NOTHING      the join is as outer as the
//!                    -> only in the source -> INSERT, DO NOTHING              clauses ask for
//!                    -> only in the target -> UPDATE, DELETE, DO NOTHING
//! ```
//!
//! As in PostgreSQL a row of the target that would be changed twice is an error, and so is a key that is put in twice.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Effect;
use super::assign::{Assignment, assigned, assignments, place};
use super::fit::the_row;
use super::insert::Source;
use super::names::{Context, put_with, target_factor};
use super::scope::Scope;
use super::update::{Matched, matched};
use crate::delta::Delta;
use crate::engine::catalog::Object;
use crate::engine::constraint::Constraints;
use crate::error::{Error, Result};
use crate::operators::eval::show_row;
use crate::operators::project::batch as with_schema;
use crate::sql::parse::{normalize, parse_query};

/// The column that is there where a source's row is.
const IN_SOURCE: &str = "\u{1}source";
/// The column that `merge_action()` reads.
pub const ACTION: &str = "\u{1}action";
/// What a row number is where there is no row of the target.
const NONE: u64 = u64::MAX;

/// A MERGE, taken apart.
pub struct Merge {
    called: String,
    source: ast::TableFactor,
    on: ast::Expr,
    clauses: Vec<Clause>,
    with: Option<ast::With>,
}

struct Clause {
    kind: Kind,
    condition: Option<ast::Expr>,
    action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Both,
    SourceOnly,
    TargetOnly,
}

enum Action {
    Nothing,
    Update(Vec<Assignment>),
    Delete,
    Insert(Source),
}

/// Rows that a clause has changed.
struct Done {
    name: &'static str,
    old: RecordBatch,
    new: RecordBatch,
    /// What was read of the source beside each row.
    source: Scope,
}

impl Merge {
    /// Reads the statement.
    ///
    /// # Errors
    /// When an action does not fit the target's columns.
    pub fn new(target: &Object, called: String, merge: ast::Merge, with: Option<ast::With>) -> Result<Self> {
        let source_name = match &merge.source {
            ast::TableFactor::Table { alias: Some(alias), .. }
            | ast::TableFactor::Derived { alias: Some(alias), .. }
            | ast::TableFactor::NestedJoin { alias: Some(alias), .. } => normalize(&alias.name),
            ast::TableFactor::Table { name, .. } => {
                name.0.last().and_then(|part| part.as_ident()).map(normalize).unwrap_or_default()
            }
            _ => {
                return Err(Error::unsupported("MERGE takes a table or a subquery with a name as its source")
                    .with_place(place(merge.source.span())));
            }
        };
        if source_name == called {
            return Err(Error::input(format!("MERGE: target and source are both called `{called}`"))
                .with_hint("give one of them another name with AS"));
        }
        let clauses = merge.clauses.into_iter().map(|clause| Clause::new(target, clause, with.as_ref()));
        Ok(Merge {
            called,
            source: marked(&source_name, merge.source)?,
            on: *merge.on,
            clauses: clauses.collect::<Result<_>>()?,
            with,
        })
    }

    /// The change that it comes to.
    ///
    /// # Errors
    /// When an expression fails, a constraint is broken, or a row would be changed twice.
    pub fn effect(&self, context: &Context<'_>) -> Result<Effect> {
        let Matched { numbers, scope } = matched(context, &self.called, vec![self.join()], self.with.as_ref(), None)?;
        let width = context.target.schema.fields().len();
        let mark = scope.known().iter().position(|(_, field)| field.name() == IN_SOURCE);
        let mark = mark.ok_or_else(|| Error::Internal("the source of a MERGE lost its mark".into()))?;
        let in_source = scope.columns()[mark].as_boolean();
        let kind = |row: usize| match (numbers[row] != NONE, in_source.is_valid(row)) {
            (true, true) => Kind::Both,
            (true, false) => Kind::TargetOnly,
            (false, _) => Kind::SourceOnly,
        };
        let source: Vec<usize> = (width..scope.columns().len()).filter(|at| *at != mark).collect();
        let kinds: Vec<Kind> = (0..scope.len()).map(kind).collect();
        let mut waiting: Vec<u32> = (0..scope.len() as u32).collect();
        let mut changed = std::collections::HashSet::new();
        let mut done = Vec::new();
        for clause in &self.clauses {
            let (fitting, others): (Vec<u32>, Vec<u32>) =
                waiting.iter().partition(|row| kinds[**row as usize] == clause.kind);
            // What a kind has no row of, its clauses do not know.
            let known: Vec<usize> = match clause.kind {
                Kind::Both => (0..width).chain(source.iter().copied()).collect(),
                Kind::SourceOnly => source.clone(),
                Kind::TargetOnly => (0..width).collect(),
            };
            let rows = scope.take(&fitting)?;
            let seen = rows.select(known)?;
            let met: Vec<u32> = match &clause.condition {
                Some(condition) => seen.filter(context, "WHEN", condition)?,
                None => (0..fitting.len() as u32).collect(),
            };
            let taken: Vec<u32> = met.iter().map(|at| fitting[*at as usize]).collect();
            if !matches!(clause.action, Action::Nothing | Action::Insert(_)) {
                for row in &taken {
                    if !changed.insert(numbers[*row as usize]) {
                        let rows = scope.select(0..width)?;
                        return Err(second_time(context, &rows, *row as usize));
                    }
                }
            }
            let (rows, seen) = (rows.take(&met)?, seen.take(&met)?);
            let old = with_schema(&context.schema(), rows.columns()[..width].to_vec(), rows.len())?;
            done.extend(clause.done(context, old, &seen, rows.select(source.iter().copied())?)?);
            waiting = others;
            waiting.extend(
                fitting
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| met.binary_search(&(*at as u32)).is_err())
                    .map(|(_, row)| *row),
            );
            waiting.sort_unstable();
        }
        self.together(context, &done, scope.select(source.iter().copied())?.take(&[])?)
    }

    fn together(&self, context: &Context<'_>, done: &[Done], no_source: Scope) -> Result<Effect> {
        let schema = context.schema();
        let old = concat_batches(&schema, done.iter().filter(|d| d.name != "INSERT").map(|d| &d.old))?;
        let new = concat_batches(&schema, done.iter().filter(|d| d.name != "DELETE").map(|d| &d.new))?;
        let after = done.iter().map(|d| if d.name == "DELETE" { &d.old } else { &d.new });
        let after = concat_batches(&schema, after)?;
        let actions: Vec<&str> = done.iter().flat_map(|d| std::iter::repeat_n(d.name, d.source.len())).collect();
        let actions: ArrayRef = Arc::new(StringArray::from(actions));
        let mut known = no_source.known();
        let mut columns = Vec::new();
        for (at, none) in no_source.columns().iter().enumerate() {
            let parts: Vec<&dyn Array> =
                std::iter::once(none.as_ref()).chain(done.iter().map(|d| d.source.columns()[at].as_ref())).collect();
            columns.push(arrow::compute::concat(&parts)?);
        }
        known.push((None::<TableReference>, Arc::new(Field::new(ACTION, DataType::Utf8, true))));
        columns.push(actions);
        let source = Scope::new(known, columns, after.num_rows())?;
        Ok(Effect::new(context, old, new, &after)?.behind(source))
    }

    /// `target JOIN source ON ...`, as outer as the clauses ask for.
    fn join(&self) -> ast::TableWithJoins {
        let has = |kind| self.clauses.iter().any(|clause| clause.kind == kind);
        let on = ast::JoinConstraint::On(self.on.clone());
        let join_operator = match (has(Kind::TargetOnly), has(Kind::SourceOnly)) {
            (false, false) => ast::JoinOperator::Inner(on),
            (true, false) => ast::JoinOperator::LeftOuter(on),
            (false, true) => ast::JoinOperator::RightOuter(on),
            (true, true) => ast::JoinOperator::FullOuter(on),
        };
        let join = ast::Join { relation: self.source.clone(), global: false, join_operator };
        ast::TableWithJoins { relation: target_factor(&self.called), joins: vec![join] }
    }
}

impl Clause {
    fn new(target: &Object, clause: ast::MergeClause, with: Option<&ast::With>) -> Result<Self> {
        let ast::MergeClause { clause_kind, predicate, action, .. } = clause;
        let kind = match clause_kind {
            ast::MergeClauseKind::Matched => Kind::Both,
            ast::MergeClauseKind::NotMatched | ast::MergeClauseKind::NotMatchedByTarget => Kind::SourceOnly,
            ast::MergeClauseKind::NotMatchedBySource => Kind::TargetOnly,
        };
        let mut condition = predicate;
        condition.iter_mut().for_each(|condition| put_with(with, condition));
        let action = match action {
            ast::MergeAction::Delete { .. } => Action::Delete,
            ast::MergeAction::Update(update) if update.assignments.is_empty() => Action::Nothing,
            ast::MergeAction::Update(mut update) => {
                update.assignments.iter_mut().for_each(|assignment| put_with(with, &mut assignment.value));
                Action::Update(assignments(update.assignments, target, "MERGE")?)
            }
            ast::MergeAction::Insert(insert) => {
                let ast::MergeInsertKind::Values(mut values) = insert.kind else {
                    return Err(Error::unsupported("MERGE ... INSERT ROW is not supported")
                        .with_hint("write INSERT (columns) VALUES (...)"));
                };
                let mut row = values.rows.pop().map(|row| row.content);
                row.iter_mut().flatten().for_each(|value| put_with(with, value));
                Action::Insert(Source::of_row(target, &insert.columns, row)?)
            }
        };
        Ok(Clause { kind, condition, action })
    }

    /// What becomes of the rows that the clause is about: `old` of the target, `seen` by its expressions.
    fn done(&self, context: &Context<'_>, old: RecordBatch, seen: &Scope, source: Scope) -> Result<Option<Done>> {
        let none = RecordBatch::new_empty(context.schema());
        let check = |new: &RecordBatch| Constraints::new(context.runner.session(), context.target)?.check(new);
        match &self.action {
            Action::Nothing => Ok(None),
            Action::Delete => Ok(Some(Done { name: "DELETE", old, new: none, source })),
            Action::Update(set) => {
                let new = assigned(context, seen, old.columns(), set, &|at| the_row(&old, at))?;
                let new = with_schema(&context.schema(), new, old.num_rows())?;
                check(&new)?;
                Ok(Some(Done { name: "UPDATE", old, new, source }))
            }
            Action::Insert(row) => {
                let new = row.rows_over(context, seen, &|at| format!("in row {} of the source", at + 1))?;
                check(&new)?;
                Ok(Some(Done { name: "INSERT", old: none, new, source }))
            }
        }
    }
}

/// `(SELECT *, true AS mark FROM source) AS name`: a row without the mark is one of the target alone.
fn marked(name: &str, source: ast::TableFactor) -> Result<ast::TableFactor> {
    let mut query = parse_query(&format!("SELECT *, true AS \"{IN_SOURCE}\""))?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![ast::TableWithJoins { relation: source, joins: Vec::new() }];
    }
    let name = ast::Ident::with_quote('"', name);
    let alias = Some(ast::TableAlias { explicit: true, name, columns: Vec::new(), at: None });
    Ok(ast::TableFactor::Derived { lateral: false, subquery: query, alias, sample: None })
}

fn second_time(context: &Context<'_>, rows: &Scope, row: usize) -> Error {
    let old = with_schema(&context.schema(), rows.columns().to_vec(), rows.len());
    let row = old.and_then(|old| Ok(Delta::insert(old).take(&[row as u32])?.batch)).map(|old| show_row(&old, 0));
    Error::input(format!(
        "MERGE cannot affect row a second time: the row {} of table `{}` matches more than once",
        row.unwrap_or_default(),
        context.target.name
    ))
    .with_hint("let ON leave one row of the source for each of the target")
}
