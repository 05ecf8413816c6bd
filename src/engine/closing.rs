//! Views whose rows depend on watermarks: in batch, a condition on the rows of their query.
//!
//! | view | its rows are those of its query that |
//! |---|---|
//! | `EMIT ON WINDOW CLOSE` | can change no more: a column that closes is behind its bound |
//! | `WITH (retention = ...)` | are not further behind the bound than that |

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use super::catalog::Object;
use crate::circuit::time::{Closing, Watermarks, first_value_from};
use crate::circuit::{Circuit, NodeId};
use crate::error::{Error, Result};
use crate::operators::on_close::OnClose;
use crate::operators::retain::Retain;
use crate::sql::lower::add_timed;

/// What is known of such a view's rows.
#[derive(Debug, Clone)]
pub struct ViewClosing {
    /// The columns that tell when its rows change no more.
    columns: Vec<Closing>,
    on_close: bool,
    retention: Option<i64>,
}

/// These views by their ids, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Closings {
    /// The views.
    pub views: Arc<HashMap<u32, ViewClosing>>,
    /// The moment.
    pub watermarks: Arc<Watermarks>,
}

impl ViewClosing {
    /// What is known of the rows of a view before its circuit holds them back or lets go of them.
    ///
    /// # Errors
    /// When no column tells which rows change no more.
    pub fn new(object: &Object, circuit: &Circuit, root: NodeId) -> Result<Option<Self>> {
        if !object.on_close && object.retention.is_none() {
            return Ok(None);
        }
        let columns = circuit.facts(root).closing.clone();
        if columns.is_empty() {
            let what = if object.on_close { "EMIT ON WINDOW CLOSE" } else { "retention" };
            return Err(Error::input(format!(
                "view `{}`: {what}: no column tells when a row changes no more",
                object.name
            ))
            .with_hint(
                "group by a window of a stream with a watermark (WATERMARK FOR ts AS ts - INTERVAL '5' SECOND), or \
                     select its event time",
            ));
        }
        Ok(Some(ViewClosing { columns, on_close: object.on_close, retention: object.retention }))
    }

    /// Puts the operators over a view's query that hold its rows back, and let go of them.
    ///
    /// # Errors
    /// When a column cannot be kept.
    pub fn put_over(&self, circuit: &mut Circuit, mut root: NodeId) -> Result<NodeId> {
        if self.on_close {
            root = add_timed(circuit, OnClose::new(circuit.schema(root), self.columns.clone())?, root, true, 0);
        }
        if let Some(retention) = self.retention {
            let closing = self.columns[0].clone();
            root = add_timed(circuit, Retain::new(circuit.schema(root), closing, retention)?, root, false, retention);
        }
        Ok(root)
    }

    /// The rows of the view's query that the view has at a moment.
    fn of(&self, plan: LogicalPlan, watermarks: &Watermarks) -> Result<LogicalPlan> {
        let schema = plan.schema().clone();
        let mut conditions = Vec::new();
        let before = |closing: &Closing, by: i64| {
            let (qualifier, field) = schema.qualified_field(closing.column);
            let bound = closing.bound.at(watermarks)?.saturating_sub(by);
            let value = ScalarValue::try_from_array(&first_value_from(bound, field.data_type())?, 0).ok()?;
            Some(Expr::Column((qualifier, field).into()).lt(Expr::Literal(value, None)))
        };
        if self.on_close {
            let closed = self.columns.iter().filter_map(|closing| before(closing, 0));
            conditions.push(disjunction(closed).unwrap_or_else(|| lit(false)));
        }
        if let Some(retention) = self.retention {
            conditions.extend(before(&self.columns[0], retention).map(|old| old.is_not_true()));
        }
        match conjunction(conditions) {
            Some(condition) => Ok(LogicalPlanBuilder::from(plan).filter(condition)?.build()?),
            None => Ok(plan),
        }
    }
}

impl Closings {
    /// The rows that a view has, of the plan of its query.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn of(&self, view: u32, plan: LogicalPlan) -> Result<LogicalPlan> {
        match self.views.get(&view) {
            None => Ok(plan),
            Some(closing) => closing.of(plan, &self.watermarks),
        }
    }
}
