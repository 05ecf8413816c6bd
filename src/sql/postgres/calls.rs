//! Functions of Postgres that are another function, another list of arguments, or rows.
//!
//! ```text
//! age(x)                       age(current_date, x)        FROM regexp_split_to_table(a, b) AS x
//! format('%s', a)              format('%s', [a::text])         FROM unnest(regexp_split_to_array(a, b, '')) AS x (x)
//! make_interval(days => 10)    make_interval(0, 0, 0, 10, ...)
//! ```

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CaseWhen, CastKind, DataType, DuplicateTreatment, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, SelectItem,
    TableAliasColumnDef, TableFactor, TimezoneInfo, Value,
};

use super::patterns::any_character;
use super::{binary, call, literal, name_of, number, rewrite_expr, series, string};
use crate::error::{Error, Result};

/// Functions that give rows, and the function that gives them as a list.
const OF_ROWS: [(&str, &str); 11] = [
    ("generate_series", "generate_series"),
    ("json_array_elements", "json_array_elements"),
    ("json_array_elements_text", "json_array_elements_text"),
    ("json_object_keys", "json_object_keys"),
    ("jsonb_array_elements", "json_array_elements"),
    ("jsonb_array_elements_text", "json_array_elements_text"),
    ("jsonb_object_keys", "json_object_keys"),
    ("regexp_matches", "regexp_matches"),
    ("regexp_split_to_table", "regexp_split_to_array"),
    ("string_to_table", "string_to_array"),
    ("unnest", "unnest"),
];

/// The parts of an interval, as `make_interval` takes them.
const INTERVAL_PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

/// The list of the rows that a function gives; nothing for other functions.
fn list_of(name: &ObjectName) -> Option<&'static str> {
    let name = name_of(name)?;
    OF_ROWS.iter().find(|(rows, _)| *rows == name).map(|(_, list)| *list)
}

/// Whether a function gives rows.
pub(super) fn gives_rows(name: &ObjectName) -> bool {
    list_of(name).is_some()
}

/// Rows in a SELECT list are rows of the SELECT.
pub(super) fn spread(item: &mut SelectItem) {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return };
    spread_within(expr);
}

/// Also within arithmetic and casts, which take no list.
fn spread_within(expr: &mut Expr) {
    match expr {
        Expr::Function(function) => {
            if let Some(list) = list_of(&function.name)
                && list != "unnest"
            {
                function.name = ObjectName::from(vec![Ident::new(list)]);
                *expr = call("unnest", vec![expr.clone()]);
            }
        }
        Expr::BinaryOp { left, op, right } if is_arithmetic(op) => {
            spread_within(left);
            spread_within(right);
        }
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } | Expr::Cast { expr: inner, .. } => {
            spread_within(inner);
        }
        _ => {}
    }
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    )
}

/// Rows in FROM, and the name of their one column, which is that of the table.
///
/// # Errors
/// As [`super::rewrite`].
pub(super) fn from_rows(table: &mut TableFactor) -> Result<()> {
    if let TableFactor::Table { name, args: Some(args), .. } = table
        && is_series(name)
    {
        series::typed_ends(&mut args.args)?;
    }
    if let TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } = table
        && let Some(list) = list_of(name)
        && !["generate_series", "unnest"].contains(&list)
    {
        let mut array = call(list, Vec::new());
        if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut array {
            list.args = args.args.clone();
        }
        rewrite_expr(&mut array)?;
        *table = TableFactor::UNNEST {
            alias: alias.clone(),
            array_exprs: vec![array],
            with_offset: false,
            with_offset_alias: None,
            with_ordinality: *with_ordinality,
        };
    }
    let alias =
        match table {
            TableFactor::Table { name, args: Some(_), alias: Some(alias), .. } if list_of(name).is_some() => alias,
            TableFactor::UNNEST {
                array_exprs, alias: Some(alias), with_offset: false, with_ordinality: false, ..
            } if array_exprs.len() == 1 => alias,
            _ => return Ok(()),
        };
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
    Ok(())
}

fn is_series(name: &ObjectName) -> bool {
    name_of(name).is_some_and(|name| matches!(name.as_str(), "generate_series" | "range"))
}

/// The call in words of the batch engine; nothing where it is that already.
///
/// # Errors
/// When an argument has a name that the function does not know.
pub(super) fn rewritten(name: &str, list: &mut FunctionArgumentList) -> Result<Option<Expr>> {
    if matches!(name, "generate_series" | "range") {
        series::typed_ends(&mut list.args)?;
    }
    if name == "make_interval" {
        return make_interval(&list.args).map(Some);
    }
    if let Some(error) = of_whole_rows(name, list) {
        return Err(error);
    }
    let plain = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => Some(arg.clone()),
        _ => None,
    });
    let Some(args) = plain.collect::<Option<Vec<Expr>>>() else { return Ok(None) };
    let nested = |expr: &Expr| Expr::Nested(Box::new(expr.clone()));
    Ok(match (name, args.as_slice()) {
        ("age", [from]) => {
            Some(call("age", vec![timestamp(call("current_date", Vec::new())), timestamp(from.clone())]))
        }
        ("age", [to, from]) => Some(call("age", vec![timestamp(to.clone()), timestamp(from.clone())])),
        ("format", [template, values @ ..]) => {
            let values = values.iter().map(|value| cast(value.clone(), DataType::Text)).collect();
            let values = Expr::Array(Array { elem: values, named: true });
            let texts = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None));
            Some(call("format", vec![template.clone(), cast(values, texts)]))
        }
        ("regexp_split_to_array" | "regexp_matches", [text, pattern]) => {
            Some(call(name, vec![text.clone(), pattern.clone(), string(String::new())]))
        }
        // A list without elements has no dimension whose length could be told.
        ("array_length", [_] | [_, _]) => {
            Some(call("nullif", vec![cast(call(name, args.clone()), DataType::BigInt(None)), number(0)]))
        }
        // The batch engine removes nothing that is NULL.
        ("array_remove_all", [list, element]) if !matches!(element, Expr::Value(value) if value.value != Value::Null) =>
        {
            let nulls = CaseWhen {
                condition: Expr::IsNull(Box::new(nested(element))),
                result: call("array_compact", vec![list.clone()]),
            };
            Some(Expr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: None,
                conditions: vec![nulls],
                else_result: Some(Box::new(call(name, args.clone()))),
            })
        }
        ("div", [left, right]) => {
            let (left, right) = (nested(left), nested(right));
            let rest = binary(left.clone(), BinaryOperator::Modulo, right.clone());
            let whole = Expr::Nested(Box::new(binary(left, BinaryOperator::Minus, rest)));
            Some(Expr::Nested(Box::new(binary(whole, BinaryOperator::Divide, right))))
        }
        ("timezone", [zone, moment]) if is_text(moment) => Some(at_time_zone(zone.clone(), moment.clone())?),
        ("date_part", [part, from]) => literal(part, name).ok().and_then(|part| seconds(part, from)),
        ("substring" | "substr", [text, pattern]) if literal(pattern, name).is_ok() => {
            Some(first_group(text.clone(), pattern.clone()))
        }
        _ => None,
    })
}

/// The seconds of a moment or an interval, with what is behind the point: the batch engine leaves that out.
pub(super) fn seconds(part: &str, from: &Expr) -> Option<Expr> {
    let per_part = match part.to_lowercase().as_str() {
        "second" | "seconds" | "sec" | "secs" => 1_000_000,
        "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => 1_000,
        _ => return None,
    };
    let microseconds = call("date_part", vec![string("microsecond".into()), from.clone()]);
    let double = cast(microseconds, DataType::DoublePrecision);
    Some(Expr::Nested(Box::new(binary(double, BinaryOperator::Divide, number(per_part)))))
}

/// `substring(text from pattern)`: what its first group matches, or all of it.
pub(super) fn first_group(text: Expr, pattern: Expr) -> Expr {
    call("array_element", vec![call("regexp_match", vec![text, any_character(&pattern)]), number(1)])
}

/// `count(t.*)` and `count(DISTINCT *)`: whether a row as a whole is NULL, or like another, is not known of rows.
fn of_whole_rows(name: &str, list: &FunctionArgumentList) -> Option<Error> {
    let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
    let [FunctionArg::Unnamed(arg)] = list.args.as_slice() else { return None };
    let hint = match arg {
        FunctionArgExpr::QualifiedWildcard(_) => {
            "count(*) counts rows; a column in its place, those where it is not NULL"
        }
        FunctionArgExpr::Wildcard if distinct => "SELECT count(*) FROM (SELECT DISTINCT ...) counts different rows",
        _ => return None,
    };
    let word = if distinct { "DISTINCT " } else { "" };
    Some(Error::unsupported(format!("`{name}`({word}{arg})")).with_hint(hint))
}

fn make_interval(args: &[FunctionArg]) -> Result<Expr> {
    let zero = || number(0);
    let mut parts: Vec<Expr> = INTERVAL_PARTS.iter().map(|_| zero()).collect();
    for (at, arg) in args.iter().enumerate() {
        let (place, value) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(at), value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => (place(&name.value), value),
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), .. } => {
                (place(&name.value), value)
            }
            other => return Err(Error::input(format!("make_interval does not take `{other}`"))),
        };
        let slot = place.and_then(|place| parts.get_mut(place));
        let Some(slot) = slot else {
            let error = Error::input(format!("make_interval does not take `{arg}`"));
            return Err(error.with_hint(format!("it takes {}", INTERVAL_PARTS.join(", "))));
        };
        *slot = value.clone();
    }
    Ok(call("make_interval", parts))
}

fn place(name: &str) -> Option<usize> {
    INTERVAL_PARTS.iter().position(|part| part.eq_ignore_ascii_case(name))
}

fn timestamp(expr: Expr) -> Expr {
    cast(expr, DataType::Timestamp(None, TimezoneInfo::None))
}

/// `moment AT TIME ZONE zone`; a text stands for a moment.
///
/// # Errors
/// As [`super::rewrite`].
pub(super) fn at_time_zone(zone: Expr, mut moment: Expr) -> Result<Expr> {
    if is_text(&moment) {
        moment = cast(moment, DataType::Timestamp(None, TimezoneInfo::Tz));
        rewrite_expr(&mut moment)?;
    }
    Ok(call("timezone", vec![zone, moment]))
}

/// `CAST(expr AS data_type)`.
pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// Whether an expression is a text between quotes.
pub(super) fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}
