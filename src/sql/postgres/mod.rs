//! What Postgres writes and the batch engine does not know, or takes for something else, in words that it knows.
//!
//! ```text
//! a SIMILAR TO 'x%'        a ~ '^(?:x.*)$'           x::varchar(3)       left(x::varchar, 3)
//! a LIKE '5!%' ESCAPE '!'  a LIKE '5\%'              '\x00ff'::bytea     X'00ff'
//! to_char(t, 'YYYY-MM')    to_char(t, '%Y-%m')       '{1,2}'::int[]      ARRAY['1', '2']::int[]
//! FETCH FIRST 3 ROWS ONLY  LIMIT 3                   ceiling(x)          ceil(x)
//! (part).a                 part['a']                t AT TIME ZONE 'UTC'  timezone('UTC', t)
//! ARRAY(SELECT ...)        (SELECT array_agg(...))   (a, b) IN (SELECT)  EXISTS (SELECT)
//! (SELECT max(a))          max(a)                    (a, b) = (c, d)     a = c AND b = d
//! ```
//!
//! `calls.rs` has the functions, `operators.rs` the operators, `patterns.rs` regular expressions, `compared.rs` and
//! `rows.rs` rows of values, `literals.rs` and `intervals.rs` texts that are values of other types.
//!
//! Only trees of statements that are about to be planned are rewritten; texts that are kept stay as they were written.

mod alone;
mod any;
mod arrays;
mod build;
mod calls;
mod compared;
mod intervals;
mod literals;
mod numerals;
mod operators;
mod ordered_sets;
mod patterns;
mod rows;
mod series;
mod similar;
mod template;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Expr, Fetch, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, LimitClause, ObjectName, Query, Select, SetExpr, TableFactor,
    TimezoneInfo, Value, VisitMut, VisitorMut,
};

pub use build::{call, name_of, names_column};
pub use literals::read_as;

use build::{binary, literal, number, string};

use super::json::CHECKED;
use super::types::{characters_max, is_json};
use crate::error::{Error, Result};

/// Functions that the batch engine has under another name.
const SYNONYMS: [(&str, &str); 18] = [
    ("array_remove", "array_remove_all"),
    ("array_replace", "array_replace_all"),
    ("array_upper", "array_length"),
    ("ceiling", "ceil"),
    ("every", "bool_and"),
    ("gen_random_uuid", "uuid"),
    ("json_array_length", "json_length"),
    ("json_extract_path", "json_get_json"),
    ("json_extract_path_text", "json_as_text"),
    ("jsonb_array_elements", "json_array_elements"),
    ("jsonb_array_elements_text", "json_array_elements_text"),
    ("jsonb_array_length", "json_length"),
    ("jsonb_extract_path", "json_get_json"),
    ("jsonb_extract_path_text", "json_as_text"),
    ("jsonb_object_keys", "json_object_keys"),
    ("jsonb_typeof", "json_typeof"),
    ("sign", "signum"),
    ("variance", "var"),
];

/// Rewrites a statement, query or expression.
///
/// # Errors
/// For what would mean something else than in Postgres, or nothing.
pub fn rewrite(tree: &mut impl VisitMut) -> Result<()> {
    match tree.visit(&mut Rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// The name that the batch engine has for a function.
pub fn synonym(name: &str) -> Option<&'static str> {
    SYNONYMS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        each_select(&mut query.body, &mut |select| select.projection.iter_mut().for_each(calls::spread));
        flow(fetch(query))
    }

    fn post_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Self::Break> {
        flow(calls::from_rows(table))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        flow(select.selection.iter_mut().chain(&mut select.having).try_for_each(rows::condition))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        flow(rewrite_expr(expr))
    }
}

fn flow(result: Result<()>) -> ControlFlow<Box<Error>> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Box::new(error)),
    }
}

fn rewrite_expr(expr: &mut Expr) -> Result<()> {
    if let Expr::Like { any: true, pattern, .. } | Expr::ILike { any: true, pattern, .. } = expr {
        let patterns = pattern.clone();
        if let Some(any) = operators::like_any(&patterns, |pattern| one_like(expr.clone(), pattern)) {
            *expr = any;
        }
        return Ok(());
    }
    if let Some(other) = compared::compared(expr)? {
        *expr = other;
        return Ok(());
    }
    if intervals::rewritten(expr)? {
        return Ok(());
    }
    match expr {
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            let Some(escape) = escape_char.take() else { return Ok(()) };
            let escape = escape.value.into_string().unwrap_or_default();
            **pattern = string(similar::like(literal(pattern, "LIKE ... ESCAPE")?, &escape)?);
        }
        Expr::SimilarTo { negated, expr: value, pattern, escape_char } => {
            let escape = escape_char.take().and_then(|escape| escape.value.into_string());
            let pattern = similar::regular_expression(literal(pattern, "SIMILAR TO")?, escape.as_deref())?;
            let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
            *expr = binary(Expr::Nested(value.clone()), op, string(pattern));
        }
        Expr::BinaryOp { op: BinaryOperator::BitwiseXor, .. } => {
            return Err(Error::unsupported("`^` is a power in Postgres and an exclusive or of bits elsewhere")
                .with_hint("write power(a, b), or (a | b) - (a & b)"));
        }
        Expr::BinaryOp { op, right, .. } if patterns::is_match(op) => **right = patterns::any_character(right),
        Expr::BinaryOp { left, op, right } => {
            if let Some(other) = operators::infix(left, op, right)? {
                *expr = other;
            }
        }
        Expr::UnaryOp { op, expr: operand } => {
            if let Some(other) = operators::prefix(*op, operand) {
                *expr = other;
            }
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expr = calls::at_time_zone(time_zone.as_ref().clone(), timestamp.as_ref().clone())?;
        }
        Expr::Collate { expr: value, collation } => *expr = operators::collated(value, collation)?,
        Expr::Extract { field, expr: from, .. } => {
            if let Some(seconds) = calls::seconds(&field.to_string(), from) {
                *expr = seconds;
            }
        }
        Expr::Substring { expr: text, substring_from: Some(pattern), substring_for: None, .. }
            if calls::is_text(pattern) =>
        {
            *expr = calls::first_group(*text.clone(), *pattern.clone());
        }
        Expr::Value(value) => {
            if let Value::UnicodeStringLiteral(text) = &value.value {
                value.value = Value::SingleQuotedString(text.clone());
            }
        }
        Expr::TypedString(typed) => {
            if let Some(text) =
                typed.value.clone().into_string().and_then(|text| literals::moment(&text, &typed.data_type))
            {
                typed.value.value = Value::SingleQuotedString(text);
            }
        }
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, expr: value, .. }
            if is_json(data_type) =>
        {
            *expr = call(CHECKED, vec![calls::cast(*value.clone(), DataType::Text)]);
        }
        Expr::Cast { data_type, expr: value, .. } => {
            let length = characters_max(data_type);
            if let Some(other) = literals::typed(value, data_type)? {
                **value = other;
                if matches!(data_type, DataType::Interval { .. }) {
                    *data_type = DataType::Interval { fields: None, precision: None };
                }
                if matches!(data_type, DataType::Bytea) {
                    *expr = *value.clone();
                }
            } else if let Some(other) = numerals::exact(value, data_type) {
                **value = other;
            } else if let Some(length) = length {
                *data_type = DataType::Text;
                *expr = call("left", vec![expr.clone(), number(length)]);
            }
        }
        Expr::Array(array) if array.elem.iter().any(names_column) => {
            *expr = call("make_array", std::mem::take(&mut array.elem))
        }
        Expr::InSubquery { expr: value, .. } if compared::row(value).is_some() => {
            *expr = rows::within(expr.clone(), false)?;
        }
        Expr::Function(function) => {
            if let Some(other) = rewrite_function(function)? {
                *expr = other;
            }
        }
        Expr::InSubquery { subquery, .. } => rows::name_values(subquery)?,
        Expr::AnyOp { left, compare_op, right, .. } => match right.as_mut() {
            Expr::Subquery(query) => rows::name_values(query)?,
            right => {
                if let Some(each) = any::of_text(left, compare_op, right, false)? {
                    *expr = each;
                } else if let Some(any) = any::any(left, compare_op, right) {
                    *expr = any;
                }
            }
        },
        Expr::AllOp { left, compare_op, right } => {
            if let Expr::Subquery(query) = right.as_mut() {
                rows::name_values(query)?;
            } else if let Some(each) = any::of_text(left, compare_op, right, true)? {
                *expr = each;
            }
        }
        Expr::Subquery(query) => {
            if let Some(value) = alone::only_value(query) {
                *expr = Expr::Nested(Box::new(value));
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } => fields_by_name(root, access_chain),
        _ => {}
    }
    Ok(())
}

/// Writes the fields of a struct in `(part).a` and `parts[1].a` as strings. The names in front, as in `t.parts[1]`, are
/// those of tables and columns.
fn fields_by_name(root: &Expr, chain: &mut [AccessExpr]) {
    let names = if matches!(root, Expr::Identifier(_)) {
        chain.iter().take_while(|access| matches!(access, AccessExpr::Dot(_))).count()
    } else {
        0
    };
    for access in &mut chain[names..] {
        if let AccessExpr::Dot(field) = access
            && let Expr::Identifier(name) = field
        {
            let exact = name.quote_style.is_some();
            *field = string(if exact { name.value.clone() } else { name.value.to_lowercase() });
        }
    }
}

/// LIKE with one pattern in the place of several.
fn one_like(mut like: Expr, one: Expr) -> Expr {
    if let Expr::Like { any, pattern, .. } | Expr::ILike { any, pattern, .. } = &mut like {
        (*any, **pattern) = (false, one);
    }
    like
}

fn rewrite_function(function: &mut Function) -> Result<Option<Expr>> {
    let Some(name) = name_of(&function.name) else { return Ok(None) };
    let name = match synonym(&name) {
        Some(ours) => {
            function.name = ObjectName::from(vec![Ident::new(ours)]);
            ours.to_string()
        }
        None => name,
    };
    if let (FunctionArguments::Subquery(query), "array") = (&function.args, name.as_str()) {
        return arrays::of_query(query.as_ref().clone()).map(Some);
    }
    if let Some(element) = ordered_sets::element(&name, function)? {
        return Ok(Some(element));
    }
    let FunctionArguments::List(list) = &mut function.args else {
        return Ok((name == "localtimestamp").then(localtimestamp));
    };
    patterns::arguments(&name, &mut unnamed(list));
    if let Some(other) = calls::rewritten(&name, list)? {
        return Ok(Some(other));
    }
    let mut args = unnamed(list);
    match (name.as_str(), args.as_mut_slice()) {
        ("to_char" | "to_timestamp" | "to_date", [_, format]) => {
            let text = literal(format, &name)?;
            **format = string(template::strftime(text)?);
            Ok(None)
        }
        ("mod", [left, right]) => {
            let nested = |expr: &Expr| Expr::Nested(Box::new(expr.clone()));
            let remainder = binary(nested(left), BinaryOperator::Modulo, nested(right));
            Ok(Some(Expr::Nested(Box::new(remainder))))
        }
        _ => Ok(None),
    }
}

/// The arguments of a call; none where one has a name.
fn unnamed(list: &mut FunctionArgumentList) -> Vec<&mut Expr> {
    let each = list.args.iter_mut().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => Some(arg),
        _ => None,
    });
    each.collect::<Option<_>>().unwrap_or_default()
}

/// The time without its zone.
fn localtimestamp() -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(call("now", Vec::new())),
        data_type: DataType::Timestamp(None, TimezoneInfo::None),
        array: false,
        format: None,
    }
}

/// FETCH FIRST is LIMIT.
fn fetch(query: &mut Query) -> Result<()> {
    let Some(Fetch { with_ties, percent, quantity }) = query.fetch.take() else { return Ok(()) };
    if with_ties || percent {
        let what = if with_ties { "WITH TIES" } else { "PERCENT" };
        return Err(Error::unsupported(format!("FETCH ... {what}"))
            .with_hint("rank() OVER (ORDER BY ...) numbers rows so that ties have one number"));
    }
    let rows = Some(quantity.unwrap_or_else(|| number(1)));
    match &mut query.limit_clause {
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset { limit: rows, offset: None, limit_by: Vec::new() });
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = rows,
        Some(_) => return Err(Error::input("a query has LIMIT or FETCH, not both")),
    }
    Ok(())
}

fn each_select(body: &mut SetExpr, change: &mut dyn FnMut(&mut Select)) {
    match body {
        SetExpr::Select(select) => change(select),
        SetExpr::SetOperation { left, right, .. } => {
            each_select(left, change);
            each_select(right, change);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
