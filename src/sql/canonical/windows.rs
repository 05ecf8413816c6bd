//! Window functions over columns.
//!
//! ```text
//! sum(a / b) FILTER (WHERE b <> 0) OVER (ORDER BY a % b)
//!
//!   projection   the input's columns, and the function's
//!     window     sum(x) FILTER (WHERE y) OVER (ORDER BY z)
//!       projection   the input's columns, CASE WHEN b <> 0 THEN a / b END AS x, b <> 0 AS y, a % b AS z
//! ```
//!
//! The batch engine evaluates what stands in a window over all rows at once, so that a row fails which a condition
//! beside it leaves out. A projection is evaluated as the rows come, by a view and by its batch query alike. Also the
//! batch engine does not always know two equal expressions for one where it looks for a common order.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Window, WindowFrame, WindowFrameBound, WindowFrameUnits,
};

use super::by_fields;
use crate::sql::filter_guard::guard;
use crate::sql::functions::Framed;

/// A window whose functions name nothing but columns, and what is to be shown of its rows where that is not all.
pub(super) struct ByColumns {
    pub window: Window,
    pub shown: Option<Vec<Expr>>,
}

impl ByColumns {
    /// Makes columns of what the functions are made of, and gives aggregates a form for every frame.
    ///
    /// # Errors
    /// When a node cannot be rebuilt, which would be a bug.
    pub fn of(window: Window) -> Result<ByColumns> {
        let mut keys = Keys { schema: &window.schema, exprs: Vec::new() };
        let window_expr =
            window.window_expr.into_iter().map(|expr| keys.call(expr, window.input.schema())).collect::<Result<_>>()?;
        if keys.exprs.is_empty() {
            return Ok(ByColumns { window: Window::try_new(window_expr, window.input)?, shown: None });
        }
        let columns = |schema: &DFSchema| schema.iter().map(|of| Expr::Column(of.into())).collect::<Vec<Expr>>();
        let exprs = columns(window.input.schema()).into_iter().chain(keys.exprs);
        let input = LogicalPlanBuilder::from(window.input.as_ref().clone()).project(exprs)?.build()?;
        let shown = Some(columns(&window.schema));
        Ok(ByColumns { window: Window::try_new(window_expr, input.into())?, shown })
    }
}

/// A window with the columns that it is to show.
///
/// # Errors
/// As [`ByColumns::of`].
pub(super) fn with_columns(window: Window, shown: Option<Vec<Expr>>) -> Result<LogicalPlan> {
    let plan = LogicalPlan::Window(window);
    match shown {
        Some(shown) => LogicalPlanBuilder::from(plan).project(shown)?.build(),
        None => Ok(plan),
    }
}

/// Expressions that are to be columns.
struct Keys<'a> {
    /// The names that are taken.
    schema: &'a DFSchema,
    exprs: Vec<Expr>,
}

impl Keys<'_> {
    /// A window function over columns, under the name that it had.
    fn call(&mut self, expr: Expr, input: &DFSchema) -> Result<Expr> {
        let name = expr.schema_name().to_string();
        let rewritten = expr.transform_up(|e| match e {
            Expr::WindowFunction(function) => {
                let rewritten = self.function(function.as_ref().clone(), input)?;
                let changed = rewritten != *function;
                Ok(Transformed::new_transformed(Expr::WindowFunction(Box::new(rewritten)), changed))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let is_named = matches!(rewritten.data, Expr::Alias(_));
        Ok(if rewritten.transformed && !is_named { rewritten.data.alias(name) } else { rewritten.data })
    }

    fn function(&mut self, mut function: WindowFunction, input: &DFSchema) -> Result<WindowFunction> {
        let params = &mut function.params;
        if let WindowFunctionDefinition::AggregateUDF(aggregate) = function.fun {
            guard(params.filter.as_deref(), params.args.iter_mut());
            function.fun = WindowFunctionDefinition::AggregateUDF(Framed::over(aggregate));
        }
        bound(&mut params.window_frame);
        params.order_by = by_fields(std::mem::take(&mut params.order_by), input)?;
        let order = params.order_by.iter_mut().map(|sort| &mut sort.expr);
        let exprs = params.args.iter_mut().chain(&mut params.partition_by).chain(order);
        for expr in exprs.chain(params.filter.as_deref_mut()) {
            *expr = self.column(std::mem::take(expr));
        }
        Ok(function)
    }

    /// An expression as a column; one without columns stays: a function may want a constant.
    fn column(&mut self, expr: Expr) -> Expr {
        if matches!(expr, Expr::Column(_)) || !expr.any_column_refs() {
            return expr;
        }
        let known = self.exprs.iter().find_map(|key| match key {
            Expr::Alias(alias) if *alias.expr == expr => Some(alias.name.clone()),
            _ => None,
        });
        let name = known.unwrap_or_else(|| {
            let mut name = expr.to_string();
            let is_taken = |name: &str| self.schema.fields().iter().any(|field| field.name() == name);
            while is_taken(&name) || self.exprs.iter().any(|key| key.schema_name().to_string() == name) {
                name.push('\'');
            }
            self.exprs.push(expr.alias(&name));
            name
        });
        Expr::Column(Column::from_name(name))
    }
}

/// More rows than there can be.
const ROWS_MAX: u64 = 1 << 62;

/// Lets no frame go farther than [`ROWS_MAX`]: the batch engine adds bounds to places of rows.
fn bound(frame: &mut WindowFrame) {
    if frame.units == WindowFrameUnits::Range {
        return;
    }
    for bound in [&mut frame.start_bound, &mut frame.end_bound] {
        if let WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) = bound
            && let ScalarValue::UInt64(Some(by)) = by
        {
            *by = (*by).min(ROWS_MAX);
        }
    }
}
