//! Kinds of values, which never meet: a number is not compared with a text, and is not in one column with it.
//!
//! The batch engine casts one of the two; Postgres refuses. So a plan is looked at as it is written, before anything in it
//! is cast:
//!
//! ```text
//! id = name               refused, also in IN, BETWEEN, joins, NULLIF, and `+` of a number and a text
//! SELECT id UNION SELECT name          refused, also CASE, COALESCE, GREATEST, LEAST, arrays, INTERSECT, EXCEPT
//! SELECT id UNION SELECT '5'           SELECT id UNION SELECT CAST('5' AS BIGINT): a literal in quotes has no type yet
//! real_column + id        CAST(real_column AS DOUBLE) + id: REAL has not the digits for whole numbers
//! ```
//!
//! `expressions.rs` has the expressions, `sets.rs` the queries that are put together.

mod expressions;
mod sets;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, cast};

pub use sets::rounds_of_one_kind;

use crate::error::{Error, Result, sql_types};

/// The plan with literals of the types that stand beside them.
///
/// # Errors
/// When values of two kinds meet.
pub fn of_one_kind(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let expressions = in_expressions(node)?;
        let node = sets::matched(expressions.data)?;
        Ok(Transformed::new_transformed(node.data, expressions.transformed || node.transformed))
    })?;
    Ok(plan.data)
}

/// The expression over columns of `schema` with literals of the types that stand beside them.
///
/// # Errors
/// As [`of_one_kind`].
pub fn expr_of_one_kind(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(expr.transform_up(|expr| Ok(expressions::matched(expr, schema)?))?.data)
}

fn in_expressions(node: LogicalPlan) -> datafusion::error::Result<Transformed<LogicalPlan>> {
    if matches!(node, LogicalPlan::TableScan(_)) || node.expressions().is_empty() {
        return Ok(Transformed::no(node));
    }
    let names = NamePreserver::new(&node);
    let schema = merge_schema(&node.inputs());
    let one = |expr: Expr| expr.transform_up(|expr| Ok(expressions::matched(expr, &schema)?));
    let is_sort = matches!(node, LogicalPlan::Sort(_));
    node.map_expressions(|expr| match expr {
        // The names of sets are those of what is in them.
        Expr::GroupingSet(_) => expr.map_children(|expr| {
            let name = names.save(&expr);
            Ok(one(expr)?.update_data(|expr| name.restore(expr)))
        }),
        expr if is_sort => one(expr),
        expr => {
            let name = names.save(&expr);
            Ok(one(expr)?.update_data(|expr| name.restore(expr)))
        }
    })
}

/// What values of a type can meet. Of types that are not here the batch engine knows best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Boolean,
    Moment,
    Time,
    Interval,
    Bytes,
    List,
    Struct,
}

fn kind(data_type: &DataType) -> Option<Kind> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Boolean => Kind::Boolean,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Moment,
        DataType::Time32(_) | DataType::Time64(_) => Kind::Time,
        DataType::Interval(_) | DataType::Duration(_) => Kind::Interval,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Kind::Bytes,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => Kind::List,
        DataType::Struct(_) => Kind::Struct,
        DataType::Dictionary(_, value) => return kind(value),
        number if number.is_numeric() => Kind::Number,
        _ => return None,
    })
}

/// Whether values of two types can meet.
fn meet(left: &DataType, right: &DataType) -> bool {
    match (left, right) {
        (DataType::List(l), DataType::List(r)) => meet(l.data_type(), r.data_type()),
        _ => kind(left).zip(kind(right)).is_none_or(|(left, right)| left == right),
    }
}

/// An expression whose type is that of what stands beside it: a literal in quotes, NULL, a parameter.
fn is_untyped(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_untyped(&alias.expr),
        Expr::Literal(value, _) => value.is_null() || matches!(value, ScalarValue::Utf8(_)),
        Expr::Placeholder(_) => true,
        _ => false,
    }
}

/// The type of an expression that has one of its own.
fn own_type(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    if is_untyped(expr) { None } else { expr.get_type(schema).ok() }
}

/// Two types that do not meet, of those that there are.
fn strangers(types: &[Option<DataType>]) -> Option<(DataType, DataType)> {
    let mut known = types.iter().flatten().filter(|of| kind(of).is_some());
    let first = known.next()?;
    known.find(|other| !meet(first, other)).map(|other| (first.clone(), other.clone()))
}

/// The type that literals beside these have to have; nothing where they are texts already.
fn common(types: &[Option<DataType>]) -> Option<DataType> {
    let mut known = types.iter().flatten().filter(|of| kind(of).is_some());
    let first = known.next()?.clone();
    let common = known.try_fold(first, |common, of| type_union_coercion(&common, of))?;
    let is_read = !matches!(kind(&common)?, Kind::Text | Kind::List | Kind::Struct);
    is_read.then_some(common)
}

/// A literal in quotes as a value of a type; other expressions as they are.
///
/// # Errors
/// When the text is no such value.
fn read(expr: Expr, of: &DataType) -> Result<Transformed<Expr>> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &expr else { return Ok(Transformed::no(expr)) };
    readable(text, of)?;
    Ok(Transformed::yes(cast(expr, of.clone())))
}

/// # Errors
/// When the text is no value of the type.
fn readable(text: &str, of: &DataType) -> Result<()> {
    // Intervals are read by a function of our own.
    if kind(of) == Some(Kind::Interval) || ScalarValue::from(text).cast_to(of).is_ok() {
        return Ok(());
    }
    Err(Error::input(format!("cannot read '{text}' as {}", sql_types(&of.to_string()))))
}

/// The error that values of two types met in `place`.
fn refused(place: &str, types: &(DataType, DataType)) -> Error {
    let (left, right) = (sql_types(&types.0.to_string()), sql_types(&types.1.to_string()));
    Error::input(format!("{place} cannot take {left} and {right}"))
        .with_hint("CAST one of them to the type of the other")
}
