//! Calls that differ in their casts alone.
//!
//! The batch engine calls a cast by what it casts, and refuses two aggregates of one name. Those behind the first get names
//! of their own:
//!
//! ```text
//! SELECT avg(x), avg(x::NUMERIC)     SELECT avg(x), avg(coalesce(x::NUMERIC))
//! ```

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, OrderBy, Query, Select, SetExpr, VisitMut, VisitorMut, visit_expressions, visit_expressions_mut,
};

use super::postgres::call;

/// Tells the calls of every query in a statement apart.
pub fn tell_casts_apart(statement: &mut impl VisitMut) {
    let _ = statement.visit(&mut Queries);
}

struct Queries;

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Query { body, order_by, .. } = query;
        if let SetExpr::Select(select) = body.as_mut() {
            tell_apart(select, order_by.as_mut());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // Those of a UNION, whose ORDER BY names columns of the result alone.
        tell_apart(select, None);
        ControlFlow::Continue(())
    }
}

fn tell_apart(select: &mut Select, order_by: Option<&mut OrderBy>) {
    let Select { projection, having, qualify, .. } = select;
    let mut calls: HashMap<Expr, Vec<Expr>> = HashMap::new();
    let mut collect = |expr: &Expr| {
        if matches!(expr, Expr::Function(_)) {
            let alike = calls.entry(without_casts(expr)).or_default();
            if !alike.contains(expr) {
                alike.push(expr.clone());
            }
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = visit_expressions(projection, &mut collect);
    let _ = visit_expressions(having, &mut collect);
    let _ = visit_expressions(qualify, &mut collect);
    if let Some(order_by) = &order_by {
        let _ = visit_expressions(*order_by, &mut collect);
    }
    // The first keeps its name.
    let numbered = calls.into_values().flat_map(|alike| alike.into_iter().enumerate().skip(1));
    let renamed: HashMap<Expr, Expr> = numbered.map(|(at, expr)| (expr.clone(), renamed(expr, at))).collect();
    if renamed.is_empty() {
        return;
    }
    let mut rename = |expr: &mut Expr| {
        if let Some(other) = renamed.get(expr) {
            *expr = other.clone();
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = visit_expressions_mut(projection, &mut rename);
    let _ = visit_expressions_mut(having, &mut rename);
    let _ = visit_expressions_mut(qualify, &mut rename);
    if let Some(order_by) = order_by {
        let _ = visit_expressions_mut(order_by, &mut rename);
    }
}

/// The expression as the batch engine calls it.
fn without_casts(expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    let _ = visit_expressions_mut(&mut expr, |expr| {
        while let Expr::Cast { expr: inner, .. } | Expr::Nested(inner) = expr {
            *expr = inner.as_ref().clone();
        }
        ControlFlow::<()>::Continue(())
    });
    expr
}

/// The expression with its casts within so many calls that change nothing.
fn renamed(mut expr: Expr, times: usize) -> Expr {
    let _ = visit_expressions_mut(&mut expr, |expr| {
        if matches!(expr, Expr::Cast { .. }) {
            for _ in 0..times {
                *expr = call("coalesce", vec![expr.clone()]);
            }
        }
        ControlFlow::<()>::Continue(())
    });
    expr
}
