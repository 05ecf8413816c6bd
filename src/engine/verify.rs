//! VERIFY: a view against its query, run by the batch engine over the log's rows.

mod parts;
mod skip;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use self::skip::Skipping;
use super::catalog::{Kind, Object};
use super::clock;
use super::database::Database;
use super::names::{Given, RowNames, canonical_view_plan, sources};
use super::providers::Batching;
use super::query::{Cancel, Rows, Runner};
use super::session::runner;
use super::show::table;
use super::snapshot::Snapshot;
use super::system::ERRORS;
use crate::delta::size::batch_bytes;
use crate::delta::{Delta, consolidate};
use crate::error::{Error, Result};
use crate::operators::eval::show_row;
use crate::operators::project::batch as with_schema;
use crate::sql::canonical::sorted_by_columns;
use crate::sql::context::{at_time, optimize_for_view};

/// Compares a view with its query, or all views with theirs: a row for each, and whether all are equal.
///
/// # Errors
/// When there is no such view or the comparison was cancelled. A view that differs is no error.
pub fn verify(database: &Database, view: Option<&str>, cancel: &Cancel) -> Result<(Rows, bool)> {
    let catalog = database.catalog();
    let views: Vec<Arc<Object>> = match view {
        Some(name) => vec![catalog.expect(name)?.clone()],
        None => catalog.seen().filter(|o| o.kind == Kind::MaterializedView).cloned().collect(),
    };
    let mut all_ok = true;
    let (mut names, mut rows, mut offsets, mut times, mut results) = (vec![], vec![], vec![], vec![], vec![]);
    for object in views {
        let name = &object.name;
        let span = tracing::debug_span!("verify", view = name);
        let _entered = span.enter();
        let started = clock::start();
        if object.kind != Kind::MaterializedView {
            return Err(Error::input(format!(
                "`{name}` is a {}; only a materialized view can be verified",
                object.kind.name()
            )));
        }
        let mut needed = sources(&catalog, &BTreeSet::from([object.id]), true);
        needed.extend([object.id, ERRORS]);
        let snapshot = database.snapshot_of(needed)?;
        // The session of views: one partition, whose rows come in the same order every time.
        let session = at_time(&database.inner().view_session.load(), snapshot.time);
        let runner = runner(database, cancel, snapshot.time).with_session(session);
        let result = compare(&runner, &snapshot, &object)?;
        all_ok &= !matches!(result, Comparison::Differs(_) | Comparison::OutOfService(_));
        names.push(name.clone());
        rows.push(snapshot.rows.get(&object.id).map(|r| r.len() as i64));
        offsets.push(snapshot.offset as i64);
        times.push(started.elapsed().as_millis() as i64);
        results.push(match result {
            Comparison::Equal => "ok".to_string(),
            Comparison::BothFail(failure) => format!("ok, both fail: {failure}"),
            Comparison::Differs(how) => how,
            Comparison::OutOfService(why) => format!("OUT OF SERVICE: {why}"),
        });
    }
    let rows = table(vec![
        ("view", Arc::new(StringArray::from(names)) as ArrayRef),
        ("rows", Arc::new(Int64Array::from(rows))),
        ("offset", Arc::new(Int64Array::from(offsets))),
        ("ms", Arc::new(Int64Array::from(times))),
        ("result", Arc::new(StringArray::from(results))),
    ])?;
    Ok((rows, all_ok))
}

/// What a view is beside its query.
enum Comparison {
    Equal,
    /// Neither can be read, and why.
    BothFail(String),
    /// What differs, in words.
    Differs(String),
    /// There is nothing to compare, and why.
    OutOfService(String),
}

fn compare(runner: &Runner, snapshot: &Arc<Snapshot>, object: &Arc<Object>) -> Result<Comparison> {
    let view = snapshot.rows.get(&object.id).ok_or_else(|| Error::Internal("the view was dropped".into()))?;
    if let Some(Error::Limit(why)) = &view.failure {
        return Ok(Comparison::OutOfService(why.clone()));
    }
    let mut listed = Ok(());
    let batch = match object.skips() {
        false => match batch_rows(runner, snapshot, object, Inputs::Inlined) {
            Err(Error::Input(_)) if view.failure.is_none() => batch_rows(runner, snapshot, object, Inputs::Apart),
            rows => rows,
        },
        true => rows_without_failing(runner, snapshot, object).map(|(rows, failed)| {
            listed = compare_listed(snapshot, object, &failed);
            rows
        }),
    };
    match (&view.failure, batch) {
        (_, Err(error @ (Error::Cancelled | Error::Limit(_) | Error::Corrupt { .. } | Error::Io { .. }))) => Err(error),
        (Some(failure), Err(_)) => Ok(Comparison::BothFail(failure.to_string())),
        // A view that reads a failing view fails, even where its own query would leave the failing column out, and a
        // key of a join fails on its row even where the batch engine saw that the other side is empty.
        (Some(failure), Ok(_))
            if reads_failing(runner, snapshot, object)? || fails_in_join(runner, snapshot, object)? =>
        {
            Ok(Comparison::BothFail(failure.to_string()))
        }
        (Some(failure), Ok(_)) => {
            Ok(Comparison::Differs(format!("DIFFERS: the view fails ({failure}) and its query does not")))
        }
        (None, Err(error)) => {
            Ok(Comparison::Differs(format!("DIFFERS: the query fails ({error}) and the view does not")))
        }
        (None, Ok(batch)) => {
            // The rows of both are put together, and then each is looked up among the others.
            let all = batch.batches.iter().chain(view.chunks.iter().map(AsRef::as_ref));
            let held = runner.reservation();
            held.try_grow(all.map(batch_bytes).sum::<usize>() * 2)?;
            let mut parts: Vec<Delta> = Vec::new();
            for b in &batch.batches {
                parts.push(Delta::insert(with_schema(&view.schema, b.columns().to_vec(), b.num_rows())?));
            }
            for chunk in &view.chunks {
                parts.push(Delta::insert(chunk.as_ref().clone()).negate());
            }
            let difference = consolidate(&Delta::concat(&view.schema, &parts)?)?;
            Ok(match (difference.has_rows(), listed) {
                (true, _) => Comparison::Differs(describe(&difference)),
                (false, Err(how)) => Comparison::Differs(how),
                (false, Ok(())) => Comparison::Equal,
            })
        }
    }
}

/// Whether the query of a materialized view that `object` reads, directly or through others, fails.
fn reads_failing(runner: &Runner, snapshot: &Arc<Snapshot>, object: &Object) -> Result<bool> {
    for read in object.reads.iter().filter_map(|id| snapshot.catalog.get(*id)) {
        let fails = match read.kind {
            Kind::Stream | Kind::Table => continue,
            Kind::View => false,
            // It may read one that fails, but does not do so itself.
            Kind::MaterializedView if read.skips() => false,
            Kind::MaterializedView => match batch_rows(runner, snapshot, read, Inputs::Inlined) {
                Ok(_) => false,
                Err(Error::Input(_)) => true,
                Err(error) => return Err(error),
            },
        };
        if fails || reads_failing(runner, snapshot, read)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an input of a join of the query fails, or the join's keys over it, when it is run by itself.
fn fails_in_join(runner: &Runner, snapshot: &Arc<Snapshot>, object: &Arc<Object>) -> Result<bool> {
    let session = runner.session();
    let (given, known) = (given(runner, snapshot, object, Inputs::Inlined)?, Some(&object.known));
    let names = RowNames { expand_materialized: true, given: &given, known, ..RowNames::new(session, snapshot) };
    let plan = session.optimize(&canonical_view_plan(session, &names, object)?)?;
    let mut inputs = Vec::new();
    plan.apply(|node| {
        if let LogicalPlan::Join(join) = node {
            let (left, right) = join.on.iter().cloned().unzip::<Expr, Expr, Vec<_>, Vec<_>>();
            inputs.extend([(join.left.clone(), left), (join.right.clone(), right)]);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for (input, keys) in inputs {
        let mut plan = LogicalPlanBuilder::from(input);
        if !keys.is_empty() {
            plan = plan.project(keys.into_iter().enumerate().map(|(at, key)| key.alias(format!("key {at}"))))?;
        }
        match runner.collect(plan.build()?) {
            Ok(_) => {}
            Err(Error::Input(_)) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn describe(difference: &Delta) -> String {
    let weights = difference.weights.to_vec(difference.len());
    let missing: i64 = weights.iter().filter(|w| **w > 0).sum();
    let extra: i64 = -weights.iter().filter(|w| **w < 0).sum::<i64>();
    let (word, row) = match weights.iter().position(|w| *w > 0) {
        Some(row) => ("missing", row),
        None => ("extra", 0),
    };
    let example = show_row(&difference.batch, row);
    format!("DIFFERS: {missing} rows missing, {extra} rows extra, such as the {word} {example}")
}

/// How a query has the materialized views that it reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inputs {
    /// As parts of itself.
    Inlined,
    /// As rows, each view's query being run by itself. What fails in the query then fails on rows of those views only:
    /// within one query, the batch engine may look at rows that a join or a group leaves out.
    Apart,
}

/// The rows of a view's query in batch.
fn batch_rows(runner: &Runner, snapshot: &Arc<Snapshot>, object: &Arc<Object>, inputs: Inputs) -> Result<Rows> {
    let session = runner.session();
    let (given, known) = (given(runner, snapshot, object, inputs)?, Some(&object.known));
    runner.settle(|batching| {
        let names = RowNames::new(session, snapshot);
        let names = RowNames { expand_materialized: true, batching, given: &given, known, ..names };
        let plan = canonical_view_plan(session, &names, object)?;
        Ok(if batching == Batching::RowByRow { sorted_by_columns(plan)? } else { plan })
    })
}

/// The rows of those materialized views below a view that are no part of its query: one that leaves out failing rows is
/// run by itself, and so is every view below such a one, or where they are asked for apart.
fn given(runner: &Runner, snapshot: &Arc<Snapshot>, object: &Object, inputs: Inputs) -> Result<Given> {
    let mut rows = Given::new();
    for read in sources(&snapshot.catalog, &object.reads, false).iter().filter_map(|id| snapshot.catalog.get(*id)) {
        match (read.kind, read.skips(), object.skips() || inputs == Inputs::Apart) {
            (Kind::MaterializedView, true, _) => {
                rows.insert(read.id, rows_without_failing(runner, snapshot, read)?.0);
            }
            (Kind::MaterializedView, false, true) => {
                rows.insert(read.id, batch_rows(runner, snapshot, read, inputs)?);
            }
            (Kind::MaterializedView, false, false) => rows.extend(given(runner, snapshot, read, inputs)?),
            _ => {}
        }
    }
    Ok(rows)
}

/// What failed while a query was run without failing rows.
struct Failed {
    rows: BTreeSet<String>,
    /// Whether something else than rows failed, which is not told here in the words of the view.
    more: bool,
}

/// The rows of a view's query in batch, without those on which it fails.
fn rows_without_failing(runner: &Runner, snapshot: &Arc<Snapshot>, object: &Arc<Object>) -> Result<(Rows, Failed)> {
    let session = runner.session();
    let (given, known) = (given(runner, snapshot, object, Inputs::Inlined)?, Some(&object.known));
    let names = RowNames { expand_materialized: true, given: &given, known, ..RowNames::new(session, snapshot) };
    let plan = optimize_for_view(session, canonical_view_plan(session, &names, object)?)?;
    let mut skipping = Skipping::new(runner);
    let rows = skipping.rows(&plan)?;
    let rows = with_schema(&object.schema, rows.columns().to_vec(), rows.num_rows())?;
    let failed = Failed { rows: skipping.failures, more: skipping.more_failed };
    Ok((Rows { schema: object.schema.clone(), batches: vec![rows] }, failed))
}

/// Whether the failures that a view lists are those that its query meets; else what is wrong.
fn compare_listed(snapshot: &Snapshot, object: &Object, failed: &Failed) -> Result<(), String> {
    let mut listed = BTreeSet::new();
    for chunk in snapshot.rows.get(&ERRORS).iter().flat_map(|errors| &errors.chunks) {
        let (views, reasons) = (chunk.column(0).as_string::<i32>(), chunk.column(2).as_string::<i32>());
        let own = (0..views.len()).filter(|row| views.value(*row) == object.name);
        listed.extend(own.map(|row| reasons.value(row).to_string()));
    }
    match (failed.rows.difference(&listed).next(), listed.difference(&failed.rows).next()) {
        (Some(missing), _) => Err(format!("DIFFERS: `system.errors` does not list {missing}")),
        (None, Some(extra)) if !failed.more => {
            Err(format!("DIFFERS: `system.errors` lists what does not fail: {extra}"))
        }
        _ => Ok(()),
    }
}
