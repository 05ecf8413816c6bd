//! The arguments of TUMBLE, HOP, CUMULATE and SESSION, by place or by name.

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Ident, Spanned, TableFactor};

use super::{ROW_WINDOWS_MAX, unit};
use crate::error::{Error, Place, Result, sql_types};
use crate::sql::match_recognize::{constant, place_of, plain};
use crate::sql::parse::normalize;
use crate::sql::parse::time_windows::KEYS;

/// How windows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tumble,
    Hop,
    Cumulate,
    Session,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Tumble => "TUMBLE",
            Kind::Hop => "HOP",
            Kind::Cumulate => "CUMULATE",
            Kind::Session => "SESSION",
        }
    }

    /// The names of the arguments behind the rows and their time, and how many of them there must be.
    fn lengths(self) -> (&'static [&'static str], usize) {
        match self {
            Kind::Tumble => (&["size", "offset"], 1),
            Kind::Hop => (&["slide", "size", "offset"], 2),
            Kind::Cumulate => (&["step", "size", "offset"], 2),
            Kind::Session => (&["gap"], 1),
        }
    }

    fn usage(self) -> String {
        let (names, least) = self.lengths();
        let optional = names[least..].iter().map(|name| format!(" [, {name}]"));
        let rest: String = names[..least].iter().map(|name| format!(", {name}")).chain(optional).collect();
        format!("{}(TABLE rows, DESCRIPTOR(time){rest})", self.name())
    }
}

/// A call whose arguments have been found.
pub(super) struct Arguments {
    kind: Kind,
    data: ast::Expr,
    keys: Option<ast::Expr>,
    time: ast::Expr,
    lengths: Vec<Option<ast::Expr>>,
}

/// What is to be planned. Lengths are in nanoseconds.
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) input: LogicalPlan,
    /// What tells the rows of sessions apart.
    pub(super) keys: Vec<Expr>,
    pub(super) time: Expr,
    pub(super) data_type: DataType,
    /// How far windows are apart; of CUMULATE the ends.
    pub(super) step: i64,
    pub(super) size: i64,
    pub(super) offset: i64,
}

impl Arguments {
    /// Finds each argument.
    ///
    /// # Errors
    /// When one is missing, unknown or given twice.
    pub(super) fn new(kind: Kind, args: Vec<FunctionArg>) -> Result<Self> {
        let (names, least) = kind.lengths();
        let places: Vec<&str> = ["data", "timecol"].into_iter().chain(names.iter().copied()).collect();
        let mut found: Vec<Option<ast::Expr>> = vec![None; places.len()];
        let (mut keys, mut next) = (None, 0);
        for arg in args {
            let start = place_of(arg.span().start);
            let wrong = |what: String| {
                Error::input(format!("{}: {what}", kind.name())).with_hint(kind.usage()).with_place(start)
            };
            let (at, expr) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if is_keys(&expr) => {
                    keys = Some(expr);
                    continue;
                }
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                    next += 1;
                    (next - 1, expr)
                }
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => {
                    let name = normalize(&name).to_lowercase();
                    let at = places.iter().position(|place| *place == name);
                    (at.ok_or_else(|| wrong(format!("no argument `{name}`")))?, expr)
                }
                other => return Err(wrong(format!("`{other}` is no argument"))),
            };
            match found.get_mut(at) {
                None => return Err(wrong(format!("`{expr}` is one argument too many"))),
                Some(Some(_)) => return Err(wrong(format!("`{}` is given twice", places[at]))),
                Some(empty) => *empty = Some(expr),
            }
        }
        let mut found = found.into_iter();
        let missing = |place: usize| {
            Error::input(format!("{} without its argument `{}`", kind.name(), places[place])).with_hint(kind.usage())
        };
        let data = found.next().flatten().ok_or_else(|| missing(0))?;
        let at_data = place_of(data.span().start);
        let time = found.next().flatten().ok_or_else(|| missing(1).with_place(at_data))?;
        let lengths: Vec<Option<ast::Expr>> = found.collect();
        if let Some(at) = lengths[..least].iter().position(Option::is_none) {
            return Err(missing(2 + at).with_place(at_data));
        }
        Ok(Arguments { kind, data, keys, time, lengths })
    }

    /// Plans the rows and their time, and evaluates the lengths.
    ///
    /// # Errors
    /// When a relation or column is unknown or has no times, and for lengths that make no windows.
    pub(super) fn call(self, context: &mut dyn RelationPlannerContext) -> Result<Call> {
        let Arguments { kind, data, keys, time, lengths } = self;
        let at_data = place_of(data.span().start);
        let ast::Expr::Subquery(subquery) = data else {
            let error = Error::input(format!("{}: `{data}` is no table", kind.name()));
            return Err(error.with_hint(kind.usage()).with_place(at_data));
        };
        if let Some(keys) = keys.as_ref().filter(|_| kind != Kind::Session) {
            let error =
                Error::input(format!("{} with PARTITION BY: its windows are the same for all rows", kind.name()));
            return Err(error.with_hint("GROUP BY tells keys apart").with_place(place_of(keys.span().start)));
        }
        let input = context.plan(TableFactor::Derived { lateral: false, subquery, alias: None, sample: None })?;
        let (time, data_type) = column(kind, time, &input, context)?;
        let mut of_rows = Vec::new();
        for key in keys.iter().flat_map(key_exprs) {
            let at = place_of(key.span().start);
            let key =
                context.sql_to_expr(key.clone(), input.schema()).map_err(|error| Error::from(error).with_place(at))?;
            of_rows.push(plain(key)?);
        }
        let mut values = Vec::new();
        for length in lengths {
            values.push(length.map_or(Ok(Length::default()), |length| nanoseconds(kind, length, context))?);
        }
        let (step, size, offset) = match values.as_slice() {
            [gap] => (gap, gap, &Length::default()),
            [size, offset] => (size, size, offset),
            [step, size, offset] => (step, size, offset),
            _ => return Err(Error::Internal("a window has a size".into())),
        };
        let call = Call {
            kind,
            input,
            keys: of_rows,
            time,
            data_type,
            step: step.nanoseconds,
            size: size.nanoseconds,
            offset: offset.nanoseconds,
        };
        check(&call, step, size, offset)?;
        Ok(call)
    }
}

/// A length of time, and where it stands.
#[derive(Debug, Clone, Default)]
struct Length {
    nanoseconds: i64,
    place: Option<Place>,
}

fn check(call: &Call, step: &Length, size: &Length, offset: &Length) -> Result<()> {
    let name = call.kind.name();
    let wrong = |what: &str, at: &Length| Err(Error::input(format!("{name}: {what}")).with_place(at.place));
    if let Some(short) = [step, size].into_iter().find(|length| length.nanoseconds <= 0) {
        return wrong("windows have a length above zero", short);
    }
    if let Some(fine) = [step, size, offset].into_iter().find(|length| length.nanoseconds % unit(&call.data_type) != 0)
    {
        return wrong(&format!("the length is finer than the time, {}", sql_types(&call.data_type.to_string())), fine);
    }
    if call.kind == Kind::Cumulate && size.nanoseconds % step.nanoseconds != 0 {
        return wrong("the size is no multiple of the step", size);
    }
    if size.nanoseconds / step.nanoseconds >= ROW_WINDOWS_MAX {
        return wrong(&format!("a row would be in over {ROW_WINDOWS_MAX} windows"), size);
    }
    Ok(())
}

/// The column of times: `DESCRIPTOR(ts)`, or its name.
fn column(
    kind: Kind,
    time: ast::Expr,
    input: &LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<(Expr, DataType)> {
    let start = place_of(time.span().start);
    let wrong = |what: String| Error::input(format!("{}: {what}", kind.name())).with_place(start);
    let named = match &time {
        ast::Expr::Function(call) if is_named(call, "descriptor") => {
            descriptor(call).ok_or_else(|| wrong("DESCRIPTOR names one column".into()))?
        }
        other => other.clone(),
    };
    let at = place_of(named.span().start);
    let expr =
        plain(context.sql_to_expr(named.clone(), input.schema()).map_err(|error| Error::from(error).with_place(at))?)?;
    let Expr::Column(column) = &expr else {
        return Err(wrong(format!("`{named}` is no column"))
            .with_hint("TUMBLE and the like take a column; a subquery computes one"));
    };
    let data_type = expr.get_type(input.schema())?;
    match data_type {
        DataType::Timestamp(..) => Ok((expr, data_type)),
        other => {
            let error =
                wrong(format!("column `{}` is {} and no TIMESTAMP", column.name, sql_types(&other.to_string())));
            Err(error
                .with_hint(format!("(SELECT *, CAST({0} AS TIMESTAMP) AS time FROM ...) makes it one", column.name)))
        }
    }
}

fn is_keys(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Function(call) if is_named(call, KEYS))
}

fn is_named(call: &ast::Function, name: &str) -> bool {
    matches!(call.name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident: &Ident| ident.value.eq_ignore_ascii_case(name)))
}

/// What PARTITION BY names: brackets around all of them are none.
fn key_exprs(call: &ast::Expr) -> Vec<&ast::Expr> {
    let ast::Expr::Function(ast::Function { args: ast::FunctionArguments::List(list), .. }) = call else {
        return Vec::new();
    };
    let expr = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    match list.args.iter().filter_map(expr).collect::<Vec<_>>().as_slice() {
        [ast::Expr::Tuple(keys)] => keys.iter().collect(),
        keys => keys.to_vec(),
    }
}

/// The one argument of a call.
fn descriptor(call: &ast::Function) -> Option<ast::Expr> {
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr.clone()),
        _ => None,
    }
}

/// A length of time in nanoseconds.
fn nanoseconds(kind: Kind, length: ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<Length> {
    let place = place_of(length.span().start);
    let text = length.to_string();
    let wrong = || {
        Error::input(format!("{}: {text} is no length of time, such as INTERVAL '10' MINUTE", kind.name()))
            .with_place(place)
    };
    let value = constant(length, context).map_err(|error| error.with_place(place))?;
    match value.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano)) {
        Ok(ScalarValue::IntervalMonthDayNano(Some(length))) if length.months == 0 => {
            let days = i64::from(length.days).checked_mul(86_400_000_000_000);
            let nanoseconds = days.and_then(|days| days.checked_add(length.nanoseconds)).ok_or_else(wrong)?;
            Ok(Length { nanoseconds, place })
        }
        Ok(ScalarValue::IntervalMonthDayNano(Some(_))) => {
            Err(wrong().with_hint("months are of no one length; days are"))
        }
        _ => Err(wrong()),
    }
}
