//! MATCH_RECOGNIZE, from text to a node of the plan.
//!
//! ```text
//! t MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES last(a.x) - first(a.x) AS d
//!                    PATTERN (a+ b) WITHIN INTERVAL '1' HOUR DEFINE a AS x > last(a.x, 1), b AS x < sum(a.x) / 2)
//!
//!   node         the pattern; conditions and measures over columns, of which some stand for items
//!     projection   t's columns | what items are of, as k + 1 in last(a.k + 1) | NULLs of the types of the items
//! ```
//!
//! So expressions with items are like any others to everything that looks at plans: their names are columns of the
//! input. What an item is, a call of FIRST, LAST, PREV or NEXT, an aggregate, CLASSIFIER or MATCH_NUMBER, the node knows.

mod calls;
mod columns;
mod exec;
mod node;
mod pattern;
mod row_names;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::{
    self, AfterMatchSkip, EmptyMatchesMode, Ident, RowsPerMatch, Spanned, SymbolDefinition, TableFactor,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::comparison::stand_in;
use super::expr::{Dependence, dependence, physical};
use super::parse::match_recognize::{SUBSET, WITHIN};
use super::parse::normalize;
use crate::error::{Error, Place, Result, nearest, sql_types};
use crate::operators::match_recognize::spec::{Shape, Show, Shown, Skip};
use crate::operators::row_codec::SortKey;
use calls::{Calls, Clause};
use columns::Columns;
pub use exec::MatchPlanner;
pub use node::MatchNode;
use pattern::{Symbol, Variables};

/// Variables of one pattern, with its subsets.
pub const VARIABLES_MAX: usize = 100;

const DAY_NANOSECONDS: i64 = 86_400_000_000_000;

/// Plans MATCH_RECOGNIZE.
#[derive(Debug)]
pub struct MatchRecognize;

impl RelationPlanner for MatchRecognize {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> datafusion::error::Result<RelationPlanning> {
        if !matches!(relation, TableFactor::MatchRecognize { .. }) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let place = first_place(&relation);
        let planned = planned(relation, context).map_err(|error| Error::from(error).with_place(place))?;
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

/// Where the pattern begins, or the table that it is over.
fn first_place(relation: &TableFactor) -> Option<Place> {
    let TableFactor::MatchRecognize { table, pattern, .. } = relation else { return None };
    let symbols = Variables::of(pattern).ok().map(|variables| variables.symbols).unwrap_or_default();
    symbols.first().and_then(|symbol| place(&symbol.ident)).or_else(|| place_of(table.span().start))
}

fn planned(
    relation: TableFactor,
    context: &mut dyn RelationPlannerContext,
) -> datafusion::error::Result<PlannedRelation> {
    let TableFactor::MatchRecognize {
        table,
        partition_by,
        order_by,
        measures,
        rows_per_match,
        after_match_skip,
        pattern,
        symbols,
        alias,
    } = relation
    else {
        return internal_err!("not MATCH_RECOGNIZE");
    };
    let mut columns = Columns::new(context.plan(*table)?)?;
    let Definitions { variables, conditions, within } = Definitions::of(&pattern, symbols)?;
    let keys = Keys::of(partition_by, order_by, &mut columns, context)?;
    let within = within.map(|within| time_of(&within, keys.time, &columns, context)).transpose()?;
    let mut taken_out = Vec::new();
    for (symbol, mut condition) in conditions {
        Calls::new(&mut columns, &variables, context, Clause::Define).take_out(&mut condition)?;
        taken_out.push((Some(symbol), condition));
    }
    let mut names = Vec::new();
    for mut measure in measures {
        Calls::new(&mut columns, &variables, context, Clause::Measures).take_out(&mut measure.expr)?;
        names.push(normalize(&measure.alias));
        taken_out.push((None, measure.expr));
    }
    let schema = columns.with_items()?;
    let mut exprs = Vec::new();
    for (symbol, expr) in taken_out {
        let expr = plain(context.sql_to_expr(expr, &schema)?)?;
        if let Some(symbol) = symbol {
            refuse_other_than_condition(&variables.symbols[symbol], expr.get_type(&schema)?)?;
        }
        exprs.push((symbol, expr));
    }
    let show = show(rows_per_match)?;
    let shown = keys.shown(show, names.len(), columns.width());
    let skip = skip(after_match_skip, &variables)?;
    let pattern = variables.pattern(&pattern)?;
    let (subsets, symbols) = (variables.subsets(), variables.names());
    let shape = Shape { pattern, symbols, subsets, skip, within, show, shown };
    let plan = MatchNode::plan(shape, columns, (keys.partition, keys.order), exprs, names)?;
    Ok(PlannedRelation::new(plan, alias))
}

/// What DEFINE has, with the clauses that were put into it.
struct Definitions {
    variables: Variables,
    /// By the place of the symbol.
    conditions: BTreeMap<usize, ast::Expr>,
    within: Option<SymbolDefinition>,
}

impl Definitions {
    fn of(pattern: &ast::MatchRecognizePattern, definitions: Vec<SymbolDefinition>) -> Result<Definitions> {
        let mut variables = Variables::of(pattern)?;
        let (mut conditions, mut within) = (BTreeMap::new(), None);
        for definition in &definitions {
            if let Some(name) = definition.symbol.value.strip_prefix(SUBSET) {
                variables.add_subset(name, &definition.definition)?;
            }
        }
        for definition in definitions {
            let symbol = &definition.symbol;
            if symbol.value == WITHIN {
                within = Some(definition);
            } else if !symbol.value.starts_with(SUBSET) {
                let at = variables.symbol(symbol, "DEFINE")?;
                if conditions.contains_key(&at) {
                    return Err(Error::input(format!("DEFINE has `{symbol}` twice")).with_place(place(symbol)));
                }
                conditions.insert(at, definition.definition);
            }
        }
        Ok(Definitions { variables, conditions, within })
    }
}

/// What rows are parted and ordered by.
struct Keys {
    partition: Vec<usize>,
    order: Vec<SortKey>,
    /// The columns of PARTITION BY as they are written, and of ORDER BY those that are columns.
    columns: (Vec<usize>, Vec<usize>),
    /// The first column of ORDER BY, and whether it is descending.
    time: (usize, bool),
}

impl Keys {
    fn of(
        partition_by: Vec<ast::Expr>,
        order_by: Vec<ast::OrderByExpr>,
        columns: &mut Columns,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Keys> {
        if order_by.is_empty() {
            return Err(Error::input("MATCH_RECOGNIZE needs ORDER BY: a pattern is over rows in an order"));
        }
        let (mut partition, mut order, mut written, mut time) =
            (Vec::new(), Vec::new(), (Vec::new(), Vec::new()), None);
        for expr in partition_by {
            let expr = plain(context.sql_to_expr(expr, columns.schema())?)?;
            written.0.push(columns.place(expr.clone()));
            let key = stand_in(expr, columns.schema()).0;
            partition.push(columns.place(key));
        }
        for sort in order_by {
            let descending = sort.options.asc == Some(false);
            let nulls_first = sort.options.nulls_first.unwrap_or(descending);
            let expr = plain(context.sql_to_expr(sort.expr, columns.schema())?)?;
            let column = columns.place(expr.clone());
            time = time.or(Some((column, descending)));
            if matches!(expr, Expr::Column(_)) {
                written.1.push(column);
            }
            let key = stand_in(expr, columns.schema()).0;
            order.push(SortKey { column: columns.place(key), descending, nulls_first });
        }
        Ok(Keys { partition, order, columns: written, time: time.unwrap_or_default() })
    }

    /// The columns that are shown, of a table with so many.
    fn shown(&self, show: Show, measures: usize, width: usize) -> Vec<Shown> {
        let (partition, order) = &self.columns;
        let mut shown: Vec<Shown> = partition.iter().copied().map(Shown::Column).collect();
        let mut add = |more: Vec<Shown>| {
            for column in more {
                if !shown.contains(&column) {
                    shown.push(column);
                }
            }
        };
        let measures = (0..measures).map(Shown::Measure).collect();
        if show == Show::Match {
            add(measures);
            return shown;
        }
        add(order.iter().copied().map(Shown::Column).collect());
        add(measures);
        add((0..width).map(Shown::Column).collect());
        shown
    }
}

fn refuse_other_than_condition(symbol: &Symbol, data_type: DataType) -> Result<()> {
    if matches!(data_type, DataType::Boolean | DataType::Null) {
        return Ok(());
    }
    let data_type = sql_types(&data_type.to_string());
    let error = Error::input(format!("DEFINE: `{}` needs a condition, not {data_type}", symbol.shown));
    Err(error.with_place(place(&symbol.ident)))
}

fn show(rows: Option<RowsPerMatch>) -> Result<Show> {
    match rows {
        None | Some(RowsPerMatch::OneRow) => Ok(Show::Match),
        Some(RowsPerMatch::AllRows(None | Some(EmptyMatchesMode::Show))) => Ok(Show::Rows { empty: true }),
        Some(RowsPerMatch::AllRows(Some(EmptyMatchesMode::Omit))) => Ok(Show::Rows { empty: false }),
        Some(RowsPerMatch::AllRows(Some(EmptyMatchesMode::WithUnmatched))) => {
            let error = Error::unsupported("ALL ROWS PER MATCH WITH UNMATCHED ROWS");
            Err(error.with_hint("a LEFT JOIN of the table with the matches shows the other rows too"))
        }
    }
}

fn skip(skip: Option<AfterMatchSkip>, variables: &Variables) -> Result<Skip> {
    Ok(match &skip {
        None | Some(AfterMatchSkip::PastLastRow) => Skip::PastLast,
        Some(AfterMatchSkip::ToNextRow) => Skip::ToNext,
        Some(AfterMatchSkip::ToFirst(name)) => Skip::ToFirst(variables.variable(name, "AFTER MATCH SKIP")?),
        Some(AfterMatchSkip::ToLast(name)) => Skip::ToLast(variables.variable(name, "AFTER MATCH SKIP")?),
    })
}

/// An expression over one row and nothing else.
pub(super) fn plain(expr: Expr) -> Result<Expr> {
    if expr.contains_outer() {
        return Err(Error::unsupported("MATCH_RECOGNIZE with columns of a query around it"));
    }
    match dependence(&expr)? {
        Dependence::Row => Ok(expr),
        Dependence::Time => Err(Error::unsupported("MATCH_RECOGNIZE with the time of the query")
            .with_hint("a WHERE around it, or a column of its input, can have it")),
    }
}

/// The column and the nanoseconds of WITHIN.
fn time_of(
    within: &SymbolDefinition,
    (column, descending): (usize, bool),
    columns: &Columns,
    context: &mut dyn RelationPlannerContext,
) -> Result<(usize, i64)> {
    let at = place(&within.symbol);
    let has_times = matches!(columns.data_type(column)?, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    if !has_times || descending {
        let error = Error::input("WITHIN needs a timestamp or a date, ascending, as the first of ORDER BY");
        return Err(error.with_place(at));
    }
    let wrong = || {
        let text = &within.definition;
        Error::input(format!("WITHIN takes a length of time, such as INTERVAL '10' MINUTE, not {text}")).with_place(at)
    };
    let value = constant(within.definition.clone(), context).map_err(|error| error.with_place(at))?;
    let nanoseconds = match value.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano)) {
        Ok(ScalarValue::IntervalMonthDayNano(Some(length))) if length.months == 0 => {
            let days = i64::from(length.days).checked_mul(DAY_NANOSECONDS);
            days.and_then(|days| days.checked_add(length.nanoseconds))
        }
        Ok(ScalarValue::IntervalMonthDayNano(Some(_))) => {
            return Err(wrong().with_hint("months are of no one length; days are"));
        }
        _ => None,
    };
    let nanoseconds = nanoseconds.filter(|length| *length > 0).ok_or_else(wrong)?;
    Ok((column, nanoseconds))
}

/// The value of an expression without columns.
pub(super) fn constant(expr: ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<ScalarValue> {
    let empty = DFSchema::empty();
    let expr = plain(context.sql_to_expr(expr, &empty)?)?;
    let batch = RecordBatch::new_empty(empty.inner().clone());
    match physical(&expr, &empty)?.evaluate(&batch)? {
        ColumnarValue::Scalar(value) => Ok(value),
        ColumnarValue::Array(_) => Err(Error::input(format!("{expr} is no constant"))),
    }
}

fn place(ident: &Ident) -> Option<Place> {
    place_of(ident.span.start)
}

pub(super) fn place_of(start: Location) -> Option<Place> {
    (start.line > 0).then_some(Place { line: start.line, column: start.column })
}

/// The error for a variable that there is not.
fn unknown(ident: &Ident, of: &str, known: impl Iterator<Item = String>) -> Error {
    let known: Vec<String> = known.collect();
    let error = Error::input(format!("{of} names `{ident}`, which is no variable of the PATTERN"));
    let error = match nearest(&normalize(ident), known.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    };
    error.with_place(place(ident))
}
