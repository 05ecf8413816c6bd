//! How the event times of the two sides of a join are tied to each other, and what follows for rows that wait for others.
//!
//! ```text
//! a.ts BETWEEN b.ts - '5 min' AND b.ts      a.ts >= b.ts - 5 min       b.ts >= a.ts
//! rows of b to come have b.ts >= W(b)       a row with a.ts < W(b) - 5 min meets none of them: it goes
//! a change of the join's rows is one of     a row of a: a.ts >= W(a)
//!                                           a row of b: a.ts >= W(b) - 5 min
//! ```
//!
//! Equal keys are tied both ways.

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, Cast};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::closing::{has_even_days, is_finer, unit_of};
use crate::circuit::Facts;
use crate::circuit::time::{Bound, Closing, has_moments};

/// A row of one side matches none of the other whose moment is later than its own by more than something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tie {
    /// The column of the side that is not before.
    later: usize,
    /// The column of the other side.
    earlier: usize,
    /// `later >= earlier + by`, in microseconds.
    by: i64,
}

/// How two sides are tied.
#[derive(Debug, Clone, Default)]
pub(super) struct Ties {
    /// The left side's columns are the later ones.
    left: Vec<Tie>,
    /// The right side's columns are.
    right: Vec<Tie>,
}

/// What follows from ties.
#[derive(Debug, Clone, Default)]
pub(super) struct JoinClosing {
    /// Rows of the left input that meet no row to come.
    pub left: Option<Closing>,
    /// The same of the right input.
    pub right: Option<Closing>,
    /// Columns of the left input by which rows of the output change no more.
    pub of_left: Vec<Closing>,
    /// The same of the right input.
    pub of_right: Vec<Closing>,
}

impl Ties {
    /// The ties of a join by equal columns (left, right) with a condition over both sides.
    pub fn new(on: &[(usize, usize)], condition: Option<&Expr>, left: &DFSchema, right: &DFSchema) -> Ties {
        let mut ties = Ties::default();
        for (l, r) in on {
            ties.left.push(Tie { later: *l, earlier: *r, by: 0 });
            ties.right.push(Tie { later: *r, earlier: *l, by: 0 });
        }
        let sides = Sides { left, right };
        for term in condition.into_iter().flat_map(split_conjunction) {
            match term {
                Expr::BinaryExpr(BinaryExpr { left, op, right }) => ties.compared(&sides, left, *op, right),
                Expr::Between(Between { expr, negated: false, low, high }) => {
                    ties.compared(&sides, expr, Operator::GtEq, low);
                    ties.compared(&sides, expr, Operator::LtEq, high);
                }
                _ => {}
            }
        }
        ties
    }

    fn compared(&mut self, sides: &Sides, left: &Expr, op: Operator, right: &Expr) {
        let (Some(a), Some(b)) = (sides.moment(left), sides.moment(right)) else { return };
        let mut tie = |later: &Moment, earlier: &Moment| {
            let tie =
                Tie { later: later.column, earlier: earlier.column, by: earlier.shift.saturating_sub(later.shift) };
            match (later.is_right, earlier.is_right) {
                (false, true) => self.left.push(tie),
                (true, false) => self.right.push(tie),
                _ => {}
            }
        };
        if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
            tie(&a, &b);
        }
        if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
            tie(&b, &a);
        }
    }

    /// What follows from what is known of both sides.
    pub fn closing(&self, left: &Facts, right: &Facts) -> JoinClosing {
        // A row that meets no other any more may still go itself.
        let drops = |ties: &[Tie], own: &Facts, other: &[Closing]| {
            ties.iter().find_map(|tie| {
                let others = bound(tie, other)?;
                let of_own = own.closing.iter().find(|closing| closing.column == tie.later);
                let bound = match own.append_only {
                    true => others,
                    false => others.or(of_own?.bound.clone()),
                };
                Some(Closing { column: tie.later, bound })
            })
        };
        let stays = |ties: &[Tie], own: &[Closing], other: &[Closing]| {
            let of_column = |closing: &Closing| {
                let tie = ties.iter().filter(|tie| tie.later == closing.column).find_map(|tie| bound(tie, other))?;
                Some(Closing { column: closing.column, bound: closing.bound.clone().or(tie) })
            };
            own.iter().filter_map(of_column).collect()
        };
        JoinClosing {
            left: drops(&self.left, left, &right.closing),
            right: drops(&self.right, right, &left.closing),
            of_left: stays(&self.left, &left.closing, &right.closing),
            of_right: stays(&self.right, &right.closing, &left.closing),
        }
    }
}

/// Where the later column is, at least, of a row that meets one to come of the other side.
fn bound(tie: &Tie, other: &[Closing]) -> Option<Bound> {
    let earlier = other.iter().find(|closing| closing.column == tie.earlier)?;
    Some(earlier.bound.clone().shifted(tie.by))
}

/// A column of a side, moved by microseconds.
struct Moment {
    is_right: bool,
    column: usize,
    shift: i64,
}

struct Sides<'a> {
    left: &'a DFSchema,
    right: &'a DFSchema,
}

impl Sides<'_> {
    fn moment(&self, expr: &Expr) -> Option<Moment> {
        match expr {
            Expr::Column(column) => {
                let found = |is_right, schema: &DFSchema| {
                    let column = schema.maybe_index_of_column(column)?;
                    has_moments(schema.field(column).data_type()).then_some(Moment { is_right, column, shift: 0 })
                };
                found(false, self.left).or_else(|| found(true, self.right))
            }
            Expr::Alias(alias) => self.moment(&alias.expr),
            Expr::Cast(Cast { expr, field }) => {
                let from = expr.get_type(self.left).or_else(|_| expr.get_type(self.right)).ok()?;
                if is_finer(&from, field.data_type()) { self.moment(expr) } else { None }
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (op, length(left), length(right)) {
                (Operator::Plus, _, Some(by)) => self.shifted(left, by),
                (Operator::Minus, _, Some(by)) => self.shifted(left, by.checked_neg()?),
                (Operator::Plus, Some(by), _) => self.shifted(right, by),
                _ => None,
            },
            _ => None,
        }
    }

    fn shifted(&self, expr: &Expr, by: i64) -> Option<Moment> {
        let moment = self.moment(expr)?;
        let schema = if moment.is_right { self.right } else { self.left };
        let data_type = schema.field(moment.column).data_type();
        // What is finer than the column's values would be rounded.
        let is_whole = unit_of(data_type).is_some_and(|unit| by % unit == 0);
        if !is_whole || !has_even_days(data_type) {
            return None;
        }
        Some(Moment { shift: moment.shift.checked_add(by)?, ..moment })
    }
}

/// A constant length of time in microseconds.
fn length(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) => {
            let days = i64::from(value.days) * 86_400_000_000;
            let whole = value.months == 0 && value.nanoseconds % 1_000 == 0;
            days.checked_add(value.nanoseconds / 1_000).filter(|_| whole)
        }
        _ => None,
    }
}
