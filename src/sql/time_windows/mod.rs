//! TUMBLE, HOP and CUMULATE: the rows of a relation, each with the windows of time that it is in.
//!
//! ```text
//! TUMBLE(s, ts, 10 min)       ts 10:07    10:00-10:10                   projection over date_bin
//! HOP(s, ts, 5 min, 10 min)   ts 10:07    10:00-10:10, 10:05-10:15      unnest of the starts
//! CUMULATE(s, ts, 5, 10 min)  ts 10:02    10:00-10:05, 10:00-10:10      unnest of the ends
//! ```
//!
//! Windows begin at whole multiples of their length (HOP: of the slide) since 1970-01-01 UTC, moved by the offset. A row
//! without a time is in none. Added are `window_start`, `window_end`, which is the first moment behind the window, and
//! `window_time`, its last microsecond.

mod arguments;
mod session;
mod spread;
mod written;

use arrow::datatypes::{DataType, IntervalMonthDayNanoType, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::sql::sqlparser::ast::TableFactor;

use super::functions::date_bin;
use crate::error::Result;
use arguments::{Arguments, Call, Kind};
pub use session::{SessionNode, SessionPlanner};
pub use spread::first_of_spread;
use written::Written;
pub use written::{alias, rows};

/// The columns that windows add.
pub const COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];
/// The list of a row's windows before it is unnested.
const LIST: &str = "__windows";
/// How the names begin of what SESSION tells rows apart by.
const KEY: &str = "__session_key";
/// Windows that one row can be in.
const ROW_WINDOWS_MAX: i64 = 10_000;

/// Plans the calls in FROM.
#[derive(Debug)]
pub struct TimeWindows;

impl RelationPlanner for TimeWindows {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> datafusion::error::Result<RelationPlanning> {
        let Some(Written { kind, args, .. }) = Written::of(&relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let alias = alias(&relation);
        let arguments = Arguments::new(kind, args.to_vec());
        let plan = arguments.and_then(|arguments| planned(arguments.call(context)?))?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

fn planned(call: Call) -> Result<LogicalPlan> {
    let Call { kind, input, keys, time, data_type, step, size, offset } = call;
    let unit = unit(&data_type);
    let moved = |moment: Expr, by: i64| if by == 0 { moment } else { moment + interval(by) };
    // The last whole multiple of a length at or before a moment.
    let floor =
        |length: i64, moment: Expr| moved(date_bin().call(vec![interval(length), moved(moment, -offset)]), offset);
    let columns = input.schema().columns();
    let kept = columns.into_iter().filter(|column| !COLUMNS.contains(&column.name.as_str())).map(Expr::Column);
    let kept: Vec<Expr> = kept.collect();
    let rows = LogicalPlanBuilder::from(input).filter(time.clone().is_not_null())?;
    let (rows, start, end) = match kind {
        Kind::Tumble => {
            let start = floor(size, time);
            (rows, start.clone(), moved(start, size))
        }
        Kind::Hop => {
            // The first start whose end is behind the row's time, up to the last one that is not.
            let first = moved(floor(step, moved(time.clone(), -size)), step);
            let list = spread::spread(first, floor(step, time), step / unit, &data_type);
            let starts = unnested(rows, &kept, list)?;
            (starts, col(listed()), moved(col(listed()), size))
        }
        Kind::Cumulate => {
            let start = floor(size, time.clone());
            let list =
                spread::spread(moved(floor(step, time), step), moved(start.clone(), size), step / unit, &data_type);
            let kept: Vec<Expr> = kept.iter().cloned().chain([start.alias(COLUMNS[0])]).collect();
            let ends = unnested(rows, &kept, list)?;
            (ends, col(Column::new_unqualified(COLUMNS[0])), col(listed()))
        }
        Kind::Session => {
            // What is no column that is kept becomes one, under a name that no query has.
            let mut made = Vec::new();
            let mut place = |expr: Expr| {
                if kept.contains(&expr) {
                    return expr;
                }
                let column = Column::new_unqualified(format!("{KEY}{}", made.len()));
                made.push(expr.alias(column.name.clone()));
                col(column)
            };
            let keys = keys.into_iter().map(&mut place).collect();
            let time = place(time);
            let rows = rows.project(kept.iter().cloned().chain(made))?.build()?;
            let session = SessionNode::plan(rows, keys, time, size)?;
            let end = |at: usize| col(Column::new_unqualified(COLUMNS[at]));
            (LogicalPlanBuilder::from(session), end(0), end(1))
        }
    };
    let last = moved(end.clone(), -unit.max(1_000));
    let added = [start, end, last].into_iter().zip(COLUMNS).map(|(expr, name)| expr.alias(name));
    Ok(rows.project(kept.into_iter().chain(added))?.build()?)
}

fn listed() -> Column {
    Column::new_unqualified(LIST)
}

/// The columns of some rows, once with each value of a list.
fn unnested(rows: LogicalPlanBuilder, kept: &[Expr], list: Expr) -> Result<LogicalPlanBuilder> {
    Ok(rows.project(kept.iter().cloned().chain([list.alias(LIST)]))?.unnest_column(listed())?)
}

/// The nanoseconds of one step of a timestamp's type.
fn unit(data_type: &DataType) -> i64 {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        _ => 1,
    }
}

/// An interval of nanoseconds, which are all of one length in every time zone.
fn interval(nanoseconds: i64) -> Expr {
    lit(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNanoType::make_value(0, 0, nanoseconds))))
}
