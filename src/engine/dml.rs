//! INSERT, UPDATE and DELETE: evaluated once, into rows.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::TableProvider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, WriteOp};
use datafusion::sql::sqlparser::ast;

use super::catalog::{Catalog, Kind, Object};
use super::constraint::{Constraints, defaults};
use super::literals::fit_values;
use super::names::RowNames;
use super::providers::{self, Batching};
use super::query::{Rows, Runner};
use super::request::Change;
use super::snapshot::Snapshot;
use super::table::TableChange;
use crate::delta::{Delta, consolidate};
use crate::error::{Error, Result, WRONG_WIDTH};
use crate::operators::project::batch as with_schema;
use crate::sql::bind::{Binder, Names};
use crate::sql::lower::nullable;
use crate::sql::parse::{normalize, object_name};
use crate::sql::refuse::is_values_with_subquery;

/// What a statement changes, and what it must read to find out.
pub struct Dml {
    /// INSERT, UPDATE or DELETE.
    pub verb: &'static str,
    /// The stream or table.
    pub target: Arc<Object>,
    statement: ast::Statement,
    alias: Option<String>,
}

impl Dml {
    /// Looks at a statement before it is evaluated.
    ///
    /// # Errors
    /// When the target cannot be changed that way, or the statement says something that has no meaning here.
    pub fn new(catalog: &Catalog, mut statement: ast::Statement) -> Result<Self> {
        let (verb, name, alias) = match &mut statement {
            ast::Statement::Insert(insert) => {
                if insert.on.is_some() {
                    return Err(Error::unsupported("INSERT ... ON CONFLICT is not supported").with_hint(
                        "INSERT into a table with a primary key already replaces the row with the same key",
                    ));
                }
                refuse_returning(insert.returning.is_some())?;
                if insert.source.as_deref().is_some_and(is_values_with_subquery) {
                    return Err(Error::unsupported("a subquery within INSERT ... VALUES is not supported")
                        .with_hint("INSERT ... SELECT takes one: INSERT INTO t SELECT 1, (SELECT ...)"));
                }
                let ast::TableObject::TableName(name) = &insert.table else {
                    return Err(Error::unsupported("INSERT takes the name of a stream or table"));
                };
                ("INSERT", object_name(name)?, None)
            }
            ast::Statement::Update(update) => {
                refuse_returning(update.returning.is_some())?;
                let mut assigned = HashSet::new();
                for assignment in &mut update.assignments {
                    normalize_target(&mut assignment.target);
                    if !assigned.insert(assignment.target.to_string()) {
                        return Err(Error::input(format!("UPDATE sets column `{}` twice", assignment.target)));
                    }
                }
                let (name, alias) = relation(&update.table.relation)?;
                ("UPDATE", name, alias)
            }
            ast::Statement::Delete(delete) => {
                refuse_returning(delete.returning.is_some())?;
                let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
                let [table] = from.as_slice() else {
                    return Err(Error::unsupported("DELETE takes one table"));
                };
                let (name, alias) = relation(&table.relation)?;
                if alias.is_some() || delete.using.is_some() {
                    return Err(Error::unsupported("DELETE with an alias or USING is not supported")
                        .with_hint("name the table, and use WHERE ... IN (SELECT ...)"));
                }
                ("DELETE", name, None)
            }
            _ => return Err(Error::Internal("not a statement that changes rows".into())),
        };
        let target = catalog.expect(&name)?.clone();
        match (verb, target.kind) {
            ("INSERT", Kind::Stream | Kind::Table) | (_, Kind::Table) => {}
            (_, Kind::Stream) => {
                return Err(Error::input(format!(
                    "{verb}: `{name}` is a stream, whose events are facts and do not change"
                ))
                .with_hint("keep what changes in a TABLE, or record a correction as a new event"));
            }
            (_, kind) => {
                return Err(Error::input(format!(
                    "{verb}: `{name}` is a {}, which its query alone changes",
                    kind.name()
                )));
            }
        }
        fit_values(&mut statement, &target)?;
        Ok(Dml { verb, target, statement, alias })
    }

    /// The statement, for finding what it reads.
    pub fn statement(&self) -> &ast::Statement {
        &self.statement
    }

    /// Whether the result depends on the rows of the target, so that no other commit may come in between.
    pub fn depends_on_target(&self) -> bool {
        self.verb != "INSERT"
    }

    /// Runs the statement over a snapshot. Returns the change and how many rows it is said to have changed.
    ///
    /// # Errors
    /// When the statement does not fit the columns, fails on a row, or a row breaks a constraint.
    pub fn evaluate(&self, runner: &Runner, snapshot: &Arc<Snapshot>) -> Result<Change> {
        let session = runner.session();
        let plan = |batching| self.plan(session, snapshot, batching);
        let constraints = Constraints::new(session, &self.target)?;
        let object = self.target.id;
        match plan(Batching::Whole)?.op {
            WriteOp::Insert(InsertOp::Append | InsertOp::Replace) => {
                let batch = self.rows(runner.settle(|b| Ok(plan(b)?.input.as_ref().clone()))?)?;
                constraints.check(&batch)?;
                Ok(match self.target.kind {
                    Kind::Stream => Change::Events { object, batch },
                    _ => Change::Table { object, change: TableChange::Upsert(batch) },
                })
            }
            WriteOp::Delete => {
                let batch = self.rows(runner.settle(|b| Ok(plan(b)?.input.as_ref().clone()))?)?;
                Ok(Change::Table { object, change: TableChange::Exact(Delta::insert(batch).negate()) })
            }
            WriteOp::Update => {
                let (old, new) = self.updated(&runner.settle(|b| self.before_and_after(&plan(b)?))?)?;
                constraints.check(&new)?;
                let (old, new) = (Delta::insert(old).negate(), Delta::insert(new));
                let delta = Delta::concat(&new.schema(), [&old, &new])?;
                Ok(Change::Table { object, change: TableChange::Exact(delta) })
            }
            other => Err(Error::unsupported(format!("{} is not supported", other.name()))),
        }
    }

    /// The error with the name of the target, where it is about its width.
    fn with_target(&self, error: Error) -> Error {
        match error {
            Error::Input(input) if input.message == WRONG_WIDTH => {
                Error::input(format!("{WRONG_WIDTH} `{}`", self.target.name))
            }
            error => error,
        }
    }

    fn plan(&self, session: &SessionState, snapshot: &Arc<Snapshot>, batching: Batching) -> Result<DmlStatement> {
        let rows = RowNames { batching, ..RowNames::new(session, snapshot) };
        let names = TargetNames { rows, session, target: &self.target, reads_target: self.depends_on_target() };
        match Binder::new(session, &names).statement(self.statement.clone()).map_err(|e| self.with_target(e))? {
            LogicalPlan::Dml(plan) => Ok(plan),
            _ => Err(Error::Internal(format!("{} was planned as something else", self.verb))),
        }
    }

    /// The plan of the rows before and after an update, one beside the other.
    fn before_and_after(&self, plan: &DmlStatement) -> Result<LogicalPlan> {
        let LogicalPlan::Projection(projection) = plan.input.as_ref() else {
            return Err(Error::Internal("UPDATE was planned without a projection".into()));
        };
        let qualifier = match &self.alias {
            Some(alias) => TableReference::bare(alias.clone()),
            None => plan.table_name.clone(),
        };
        let fields = self.target.schema.fields();
        let mut exprs = projection.expr.clone();
        for (at, field) in fields.iter().enumerate() {
            let column = Expr::Column(Column::new(Some(qualifier.clone()), field.name()));
            exprs.push(column.alias(format!("old {at}")));
        }
        Ok(LogicalPlanBuilder::from(projection.input.as_ref().clone()).project(exprs)?.build()?)
    }

    fn updated(&self, rows: &Rows) -> Result<(RecordBatch, RecordBatch)> {
        let all = concat_batches(&rows.schema, &rows.batches)?;
        let width = self.target.schema.fields().len();
        let schema = nullable(&self.target.schema);
        let new = with_schema(&schema, all.columns()[..width].to_vec(), all.num_rows())?;
        let old = with_schema(&schema, all.columns()[width..].to_vec(), all.num_rows())?;
        if let ast::Statement::Update(update) = &self.statement
            && update.from.is_some()
        {
            self.refuse_double_matches(&old)?;
        }
        Ok((old, new))
    }

    /// With FROM, a row that matches twice would be replaced by two.
    fn refuse_double_matches(&self, old: &RecordBatch) -> Result<()> {
        if self.target.key.is_empty() {
            return Err(Error::unsupported("UPDATE ... FROM needs a table with a primary key"));
        }
        let gone = Delta::insert(old.clone()).negate();
        let distinct = consolidate(&gone)?;
        match (0..distinct.len()).find(|row| distinct.weights.get(*row) != -1) {
            None => Ok(()),
            Some(row) => Err(Error::input(format!(
                "UPDATE: the row {} of table `{}` matches more than once",
                crate::operators::eval::show_row(&distinct.batch, row),
                self.target.name
            ))),
        }
    }

    fn rows(&self, rows: Rows) -> Result<RecordBatch> {
        let all = concat_batches(&rows.schema, &rows.batches)?;
        with_schema(&nullable(&self.target.schema), all.columns().to_vec(), all.num_rows())
    }
}

fn refuse_returning(given: bool) -> Result<()> {
    if given {
        Err(Error::unsupported("RETURNING is not supported").with_hint("read the rows with a SELECT afterwards"))
    } else {
        Ok(())
    }
}

fn relation(factor: &ast::TableFactor) -> Result<(String, Option<String>)> {
    match factor {
        ast::TableFactor::Table { name, alias, .. } => {
            Ok((object_name(name)?, alias.as_ref().map(|a| normalize(&a.name))))
        }
        _ => Err(Error::unsupported("only a table can be changed")),
    }
}

/// The batch engine takes assigned names as they are written.
fn normalize_target(target: &mut ast::AssignmentTarget) {
    if let ast::AssignmentTarget::ColumnName(name) = target {
        for part in &mut name.0 {
            if let ast::ObjectNamePart::Identifier(ident) = part {
                ident.value = normalize(ident);
            }
        }
    }
}

/// Names where the target knows the defaults of its columns.
struct TargetNames<'a> {
    rows: RowNames<'a>,
    session: &'a SessionState,
    target: &'a Arc<Object>,
    reads_target: bool,
}

impl Names for TargetNames<'_> {
    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name != self.target.name || self.reads_target {
            return self.rows.table(name);
        }
        let defaults = defaults(self.session, self.target)?;
        let rows = match self.rows.snapshot.rows.contains_key(&self.target.id) || self.target.kind == Kind::Stream {
            true => self.rows.table(name)?,
            false => None,
        };
        // NULL where it must not be is found by the constraints, which say so better than the plan does.
        let target = Object { schema: nullable(&self.target.schema), ..self.target.as_ref().clone() };
        Ok(Some(providers::target(Arc::new(target), defaults, rows)))
    }

    fn system_table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.rows.system_table(schema, name)
    }

    fn all(&self) -> Vec<String> {
        self.rows.all()
    }
}

/// The objects that a statement reads besides writing its target.
///
/// # Errors
/// When a name has too many parts.
pub fn reads(catalog: &Catalog, dml: &Dml) -> Result<Vec<u32>> {
    let mut reads: HashSet<u32> = super::names::reads(catalog, dml.statement().clone())?.into_iter().collect();
    // The name after INTO is not read, unless it occurs again in the query.
    if let ast::Statement::Insert(insert) = dml.statement()
        && !insert.source.as_ref().is_some_and(|query| {
            super::names::reads(catalog, ast::Statement::Query(query.clone())).is_ok_and(|r| r.contains(&dml.target.id))
        })
    {
        reads.remove(&dml.target.id);
    }
    if dml.depends_on_target() {
        reads.insert(dml.target.id);
    }
    Ok(super::names::sources(catalog, &reads.into_iter().collect(), false))
}
