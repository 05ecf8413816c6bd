//! How far a row's result depends on the rows before and behind it, from what is known of its function and frame.

use std::fmt;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{Expr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};

use super::distance::distance;

/// Functions that see their frame alone. All aggregates do: what slides leaves no trace.
const FRAMED: [&str; 3] = ["first_value", "last_value", "nth_value"];

/// How far to one side, from a row on. A row lies in the span if any of the four says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// To the end of the partition.
    pub all: bool,
    /// So many rows.
    pub rows: usize,
    /// The row's peers, and so many groups of peers more.
    pub groups: Option<usize>,
    /// The rows whose place in the order is so far away, in its smallest unit.
    pub range: Option<i128>,
}

/// The rows that a result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// The first row of the partition, too.
    pub first: bool,
    /// Before the row.
    pub back: Span,
    /// Behind the row.
    pub ahead: Span,
}

impl Span {
    /// To the end.
    pub const ALL: Span = Span { all: true, rows: 0, groups: None, range: None };
    const PEERS: Span = Span { all: false, rows: 0, groups: Some(0), range: None };

    fn or(self, other: Span) -> Span {
        Span {
            all: self.all || other.all,
            rows: self.rows.max(other.rows),
            groups: self.groups.max(other.groups),
            range: self.range.max(other.range),
        }
    }

    fn rows(rows: i64) -> Span {
        Span { rows: usize::try_from(rows).unwrap_or(0), ..Span::default() }
    }
}

impl Reach {
    /// All rows of the partition.
    pub const PARTITION: Reach = Reach { first: false, back: Span::ALL, ahead: Span::ALL };

    /// The rows that the results of any of these functions depend on. `order` is the type of what they are ordered by,
    /// where that is one column.
    pub fn of<'a>(functions: impl IntoIterator<Item = &'a WindowFunction>, order: Option<&DataType>) -> Reach {
        functions.into_iter().map(|function| reach(function, order)).fold(Reach::default(), |all, one| Reach {
            first: all.first || one.first,
            back: all.back.or(one.back),
            ahead: all.ahead.or(one.ahead),
        })
    }
}

fn reach(function: &WindowFunction, order: Option<&DataType>) -> Reach {
    let WindowFunctionParams { args, null_treatment, .. } = &function.params;
    let ignores_nulls = *null_treatment == Some(NullTreatment::IgnoreNulls);
    let offset = match args.get(1) {
        None => Some(1),
        Some(Expr::Literal(ScalarValue::Int64(offset), _)) => *offset,
        Some(_) => None,
    };
    let is_aggregate = matches!(function.fun, WindowFunctionDefinition::AggregateUDF(_));
    match function.fun.name() {
        "row_number" => Reach { back: Span::ALL, ..Reach::default() },
        "rank" | "dense_rank" => Reach { back: Span::ALL, ..Reach::default() },
        name @ ("lag" | "lead") if !ignores_nulls => match offset.map(|o| if name == "lag" { o } else { -o }) {
            Some(back) if back != i64::MIN => {
                Reach { back: Span::rows(back), ahead: Span::rows(-back), ..Reach::default() }
            }
            _ => Reach::PARTITION,
        },
        name @ ("first_value" | "last_value") if !ignores_nulls => {
            end_of_frame(name == "first_value", &function.params.window_frame, order)
                .unwrap_or_else(|| frame(&function.params.window_frame, order))
        }
        name if is_aggregate || FRAMED.contains(&name) => frame(&function.params.window_frame, order),
        _ => Reach::PARTITION,
    }
}

/// What the first or the last value of a frame depends on that begins with the partition and always holds the row, or
/// ends so many rows before it: one end of the frame.
fn end_of_frame(first: bool, frame: &WindowFrame, order: Option<&DataType>) -> Option<Reach> {
    let (end, units) = (&frame.end_bound, frame.units);
    if !frame.start_bound.is_unbounded() || end.is_unbounded() {
        return None;
    }
    // Whether the frame has a row at all, and which is its last, is told by what is next to the row.
    let (back, ahead) = match end {
        WindowFrameBound::Preceding(_) if units == WindowFrameUnits::Range => return None,
        WindowFrameBound::Preceding(_) => (side(end, units, true, order), Span::default()),
        _ => (Span::default(), side(end, units, true, order)),
    };
    Some(Reach { first, back, ahead: if first { Span::default() } else { ahead } })
}

/// The distance to a bound where it lies to this side of the row.
fn side(bound: &WindowFrameBound, units: WindowFrameUnits, is_this_side: bool, order: Option<&DataType>) -> Span {
    let here = if units == WindowFrameUnits::Rows { Span::default() } else { Span::PEERS };
    match bound {
        bound if bound.is_unbounded() => Span::ALL,
        WindowFrameBound::CurrentRow => here,
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => {
            let span = match units {
                WindowFrameUnits::Rows => whole(by).map(|rows| Span { rows, ..Span::default() }),
                WindowFrameUnits::Groups => whole(by).map(|groups| Span { groups: Some(groups), ..Span::default() }),
                WindowFrameUnits::Range => {
                    order.and_then(|order| distance(by, order)).map(|range| Span { range: Some(range), ..Span::PEERS })
                }
            };
            match span {
                Some(span) if is_this_side => span,
                Some(_) => here,
                None => Span::ALL,
            }
        }
    }
}

fn frame(frame: &WindowFrame, order: Option<&DataType>) -> Reach {
    let (start, end, units) = (&frame.start_bound, &frame.end_bound, frame.units);
    // A frame that ends before the row still begins before it, and one that begins behind it ends behind it.
    let follows = matches!(start, WindowFrameBound::Following(_));
    let precedes = matches!(end, WindowFrameBound::Preceding(_));
    Reach { first: false, back: side(start, units, !follows, order), ahead: side(end, units, !precedes, order) }
}

/// What a change touches, in words.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What looks ahead to a change lies before it.
        match (self.ahead, self.back) {
            (Span { all: true, .. }, Span { all: true, .. }) => return f.write_str("its partition"),
            (Span { all: true, .. }, _) => f.write_str("the rows before it in its partition")?,
            (_, Span { all: true, .. }) => f.write_str("the rows behind it in its partition")?,
            (ahead, back) if ahead.range.is_some() || back.range.is_some() => {
                f.write_str("the rows within its range")?
            }
            (ahead, back) => {
                let span = |span: Span| match span.groups {
                    Some(0) if span.rows == 0 => "its peers".to_string(),
                    Some(groups) => format!("{groups} groups and {} rows", span.rows),
                    None => span.rows.to_string(),
                };
                write!(f, "{} before and {} behind it", span(ahead), span(back))?;
            }
        }
        f.write_str(if self.first { ", and its partition where it is the first" } else { "" })
    }
}

/// A distance in rows or groups.
fn whole(value: &ScalarValue) -> Option<usize> {
    match value {
        ScalarValue::UInt64(Some(n)) => usize::try_from(*n).ok(),
        ScalarValue::Int64(Some(n)) => usize::try_from(*n).ok(),
        ScalarValue::UInt32(Some(n)) => Some(*n as usize),
        ScalarValue::Int32(Some(n)) => usize::try_from(*n).ok(),
        _ => None,
    }
}
