//! How far a row's result depends on the rows before and behind it, from what is known of its function and frame.

use std::fmt;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{Expr, WindowFrameBound, WindowFrameUnits};

/// Aggregates whose result over a frame is the same whatever the frames before it were.
const EXACT: [&str; 9] = ["count", "sum", "avg", "min", "max", "first_value", "last_value", "nth_value", "regr_count"];

/// How far to one side, from a row on. A row lies in the span if any of the three says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// To the end of the partition.
    pub all: bool,
    /// So many rows.
    pub rows: usize,
    /// The row's peers, and so many groups of peers more.
    pub groups: Option<usize>,
}

/// The rows that a result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Before the row.
    pub back: Span,
    /// Behind the row.
    pub ahead: Span,
}

impl Span {
    const ALL: Span = Span { all: true, rows: 0, groups: None };
    const PEERS: Span = Span { all: false, rows: 0, groups: Some(0) };

    fn or(self, other: Span) -> Span {
        Span { all: self.all || other.all, rows: self.rows.max(other.rows), groups: self.groups.max(other.groups) }
    }

    fn rows(rows: i64) -> Span {
        Span { rows: usize::try_from(rows).unwrap_or(0), ..Span::default() }
    }
}

impl Reach {
    /// All rows of the partition.
    pub const PARTITION: Reach = Reach { back: Span::ALL, ahead: Span::ALL };

    /// The rows that the results of any of these functions depend on.
    pub fn of<'a>(functions: impl IntoIterator<Item = &'a WindowFunction>) -> Reach {
        functions
            .into_iter()
            .map(reach)
            .fold(Reach::default(), |all, one| Reach { back: all.back.or(one.back), ahead: all.ahead.or(one.ahead) })
    }
}

fn reach(function: &WindowFunction) -> Reach {
    let WindowFunctionParams { args, null_treatment, .. } = &function.params;
    let ignores_nulls = *null_treatment == Some(NullTreatment::IgnoreNulls);
    let offset = match args.get(1) {
        None => Some(1),
        Some(Expr::Literal(ScalarValue::Int64(offset), _)) => *offset,
        Some(_) => None,
    };
    match function.fun.name() {
        "row_number" => Reach { back: Span::ALL, ahead: Span::default() },
        "rank" | "dense_rank" => Reach { back: Span::ALL, ahead: Span::default() },
        name @ ("lag" | "lead") if !ignores_nulls => match offset.map(|o| if name == "lag" { o } else { -o }) {
            Some(back) if back != i64::MIN => Reach { back: Span::rows(back), ahead: Span::rows(-back) },
            _ => Reach::PARTITION,
        },
        name if EXACT.contains(&name) => frame(&function.params),
        _ => Reach::PARTITION,
    }
}

fn frame(params: &WindowFunctionParams) -> Reach {
    let frame = &params.window_frame;
    // The distance to a bound where it lies to this side of the row.
    let side = |bound: &WindowFrameBound, is_this_side: bool| match (bound, frame.units) {
        (bound, _) if bound.is_unbounded() => Span::ALL,
        (WindowFrameBound::CurrentRow, WindowFrameUnits::Rows) => Span::default(),
        (WindowFrameBound::CurrentRow, _) => Span::PEERS,
        (WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by), units) => match (units, whole(by)) {
            (WindowFrameUnits::Rows, Some(rows)) if is_this_side => Span { rows, ..Span::default() },
            (WindowFrameUnits::Rows, Some(_)) => Span::default(),
            (WindowFrameUnits::Groups, Some(groups)) if is_this_side => {
                Span { groups: Some(groups), ..Span::default() }
            }
            (WindowFrameUnits::Groups, Some(_)) => Span::PEERS,
            _ => Span::ALL,
        },
    };
    let (start, end) = (&frame.start_bound, &frame.end_bound);
    let preceding = |bound: &WindowFrameBound| matches!(bound, WindowFrameBound::Preceding(_));
    let following = |bound: &WindowFrameBound| matches!(bound, WindowFrameBound::Following(_));
    Reach {
        // A frame that ends before the row still begins before it, and one that begins behind it ends behind it.
        back: if following(start) { side(start, false) } else { side(start, true) },
        ahead: if preceding(end) { side(end, false) } else { side(end, true) },
    }
}

/// What a change touches, in words.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What looks ahead to a change lies before it.
        match (self.ahead, self.back) {
            (Span { all: true, .. }, Span { all: true, .. }) => f.write_str("its partition"),
            (Span { all: true, .. }, _) => f.write_str("the rows before it in its partition"),
            (_, Span { all: true, .. }) => f.write_str("the rows behind it in its partition"),
            (ahead, back) => {
                let span = |span: Span| match span.groups {
                    Some(groups) => format!("{groups} groups and {} rows", span.rows),
                    None => span.rows.to_string(),
                };
                write!(f, "{} before and {} behind it", span(ahead), span(back))
            }
        }
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
