//! Parameters of prepared statements: `$1`, `$2`, ...
//!
//! ```text
//! PREPARE   text -> plan with `$n` -> the type of each, from the column or expression that it stands beside
//! EXECUTE   text -> plan with `$n` -> plan with values in their places -> as any other plan
//! ```
//!
//! What is known of the parameters of a statement travels with the session that plans it, so that whatever plans a part
//! of the statement finds it there.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast;

use crate::error::{Error, Result};

/// Parameters of one statement.
pub const PARAMETERS_MAX: usize = 65_535;

/// What is known of the parameters of a statement, in their order.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// Their types, as far as they are known.
    pub types: Vec<Option<DataType>>,
    /// Their values, when the statement is executed.
    pub values: Option<Vec<ScalarValue>>,
}

impl Parameters {
    /// Parameters of known types, without values yet.
    pub fn of_types(types: Vec<Option<DataType>>) -> Self {
        Parameters { types, values: None }
    }

    /// Parameters with their values.
    pub fn of_values(values: Vec<ScalarValue>) -> Self {
        let types = values.iter().map(|value| Some(value.data_type()).filter(|of| *of != DataType::Null)).collect();
        Parameters { types, values: Some(values) }
    }

    /// The session for planning a statement with these parameters.
    #[must_use]
    pub fn session(self, state: &SessionState) -> SessionState {
        let mut state = state.clone();
        state.config_mut().set_extension(Arc::new(self));
        state
    }

    /// What a session knows of its statement's parameters.
    pub(super) fn known(state: &SessionState) -> Option<Arc<Parameters>> {
        state.config().get_extension::<Parameters>()
    }

    /// The types as the planner wants them.
    pub(super) fn fields(&self) -> Vec<Option<FieldRef>> {
        let field = |of: &Option<DataType>| Some(Arc::new(Field::new("", of.clone()?, true)));
        self.types.iter().map(field).collect()
    }

    /// The plan with values for its parameters, once there are any.
    ///
    /// # Errors
    /// When a parameter of the plan has none.
    pub(super) fn give(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let Some(values) = &self.values else { return Ok(plan) };
        Ok(plan.with_param_values(ParamValues::from(values.clone()))?)
    }
}

/// The place of a parameter: `$1` is the first.
///
/// # Errors
/// When it is not a number, or too large a one.
fn place(id: &str) -> Result<usize> {
    match id.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()) {
        Some(number) if (1..=PARAMETERS_MAX).contains(&number) => Ok(number - 1),
        Some(number) => Err(Error::Limit(format!("parameter `${number}`: the last one can be `${PARAMETERS_MAX}`"))),
        None => Err(Error::unsupported(format!("parameter `{id}`: parameters are numbered, `$1` is the first"))),
    }
}

fn each_parameter(plan: &LogicalPlan, mut see: impl FnMut(&Placeholder) -> Result<()>) -> Result<()> {
    let mut result = Ok(());
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(parameter) = expr {
                    result = see(parameter);
                }
                Ok(if result.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })
        })
    })?;
    result
}

/// Refuses a plan with parameters, for which there is nobody to give values.
///
/// # Errors
/// When there is one.
pub fn refuse_parameters(plan: &LogicalPlan) -> Result<()> {
    each_parameter(plan, |parameter| Err(without_value(&parameter.id)))
}

fn without_value(id: &str) -> Error {
    Error::input(format!("parameter `{id}` has no value"))
        .with_hint("PREPARE name AS ... makes a statement with parameters, and EXECUTE name(...) gives their values")
}

/// The types of a plan's parameters, found by the planner from what stands beside them; `declared` are those that were
/// given. None where nothing tells: any value is then taken as it is. `name` says what a type is called.
///
/// # Errors
/// When one parameter is used as two types.
pub fn parameter_types(
    plan: &LogicalPlan,
    declared: &[Option<DataType>],
    name: impl Fn(&DataType) -> String,
) -> Result<Vec<Option<DataType>>> {
    let mut types = declared.to_vec();
    each_parameter(plan, |parameter| {
        let place = place(&parameter.id)?;
        if place >= types.len() {
            types.resize(place + 1, None);
        }
        let Some(field) = &parameter.field else { return Ok(()) };
        match &types[place] {
            Some(known) if known != field.data_type() => Err(Error::input(format!(
                "parameter `{}` stands for {} in one place and for {} in another",
                parameter.id,
                name(known),
                name(field.data_type())
            ))
            .with_hint("declare its type: PREPARE name (type, ...) AS ..., or cast it where it is used")),
            _ => {
                types[place] = Some(field.data_type().clone());
                Ok(())
            }
        }
    })?;
    // LIMIT and OFFSET count rows.
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for count in [&limit.skip, &limit.fetch].into_iter().flatten() {
                if let Expr::Placeholder(parameter) = count.as_ref()
                    && let Ok(place) = place(&parameter.id)
                {
                    types[place].get_or_insert(DataType::Int64);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(types)
}

/// The types of all parameters that a statement has, as far as they are known: for one that the batch engine plans in
/// part or not at all.
///
/// # Errors
/// When a parameter has no number, or too large a one.
pub fn all_parameters(statement: &ast::Statement, known: &[Option<DataType>]) -> Result<Vec<Option<DataType>>> {
    let mut types = known.to_vec();
    let found = ast::visit_expressions(statement, |expr| {
        let ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Placeholder(id), .. }) = expr else {
            return ControlFlow::Continue(());
        };
        match place(id) {
            Ok(place) => {
                if place >= types.len() {
                    types.resize(place + 1, None);
                }
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    });
    match found {
        ControlFlow::Continue(()) => Ok(types),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The expression with values for its parameters.
///
/// # Errors
/// When there is none for one of them.
pub fn with_values(expr: Expr, values: &[ScalarValue]) -> Result<Expr> {
    let mut missing = None;
    let given = expr.transform(|expr| match &expr {
        Expr::Placeholder(parameter) => match place(&parameter.id).ok().and_then(|place| values.get(place)) {
            Some(value) => Ok(Transformed::yes(Expr::Literal(value.clone(), None))),
            None => {
                missing = Some(parameter.id.clone());
                Ok(Transformed::no(expr))
            }
        },
        _ => Ok(Transformed::no(expr)),
    })?;
    match missing {
        None => Ok(given.data),
        Some(id) => Err(without_value(&id)),
    }
}

/// Whether an expression has parameters.
pub fn has_parameter(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_)))).unwrap_or(true)
}
