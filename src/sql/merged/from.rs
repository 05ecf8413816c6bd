//! FROM, join by join.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, SetExpr, TableAlias, TableFactor,
    TableWithJoins, Value, VisitMut,
};

use super::scope::{Column, Scope, name_of_factor};
use super::{Merging, merges};
use crate::error::{Error, Result};
use crate::sql::parse::{normalize, parse_query};
use crate::sql::postgres::call;

type Flow<T> = ControlFlow<Box<Error>, T>;

/// Which rows of a join have which side.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The left side is there, or both are.
    Left,
    Right,
    Full,
    /// Only one side can be named.
    LeftAlone,
    RightAlone,
}

impl Merging<'_> {
    /// Writes out the joins of a FROM. Returns what can be named.
    pub fn from(&mut self, items: &mut [TableWithJoins]) -> Flow<Scope> {
        let mut all = Scope::default();
        for item in items {
            let scope = self.joined(item, &all)?;
            all = all.beside(scope);
        }
        ControlFlow::Continue(all)
    }

    /// One item of FROM; `before` are those before it.
    fn joined(&mut self, item: &mut TableWithJoins, before: &Scope) -> Flow<Scope> {
        let merging = merges(item);
        let mut left = self.factor(&mut item.relation, before, merging)?;
        for join in &mut item.joins {
            let seen = before.clone().beside(left.clone());
            let right = self.factor(&mut join.relation, &seen, merging)?;
            left = self.join(&mut join.join_operator, left, right, merging)?;
        }
        ControlFlow::Continue(left)
    }

    fn factor(&mut self, factor: &mut TableFactor, seen: &Scope, merging: bool) -> Flow<Scope> {
        name_columns_of_joined(factor)?;
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => return self.joined(table_with_joins, seen),
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.joined(table_with_joins, seen)?;
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                if *lateral {
                    self.scopes.push(seen.clone());
                }
                subquery.visit(self)?;
                if *lateral {
                    self.scopes.pop();
                }
                if merging && alias.is_none() {
                    // Its columns could not be told from those of the other side.
                    let name = Ident::with_quote('"', format!("joined {}", seen.tables.len() + 1));
                    *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
                }
            }
            _ => {
                self.scopes.push(seen.clone());
                factor.visit(self)?;
                self.scopes.pop();
            }
        }
        let columns = self.known.columns_of_factor(factor, None);
        let name = name_of_factor(factor);
        ControlFlow::Continue(match (name, columns) {
            (Some(name), columns) => Scope::of_table(name, columns),
            (None, columns) => Scope::without_table(columns),
        })
    }

    fn join(&mut self, operator: &mut JoinOperator, left: Scope, right: Scope, merging: bool) -> Flow<Scope> {
        let Some((kind, constraint)) = kind_of(operator) else { return ControlFlow::Continue(left.beside(right)) };
        if let JoinConstraint::On(condition) = constraint {
            // A name in it is a column of these two sides, whatever is merged further out.
            let both = left.clone().beside(right.clone());
            self.scopes.push(if merging { both.written_out() } else { both });
            condition.visit(self)?;
            self.scopes.pop();
        }
        let merged = match merge(kind, constraint, &left, &right) {
            Ok(merged) => merged,
            Err(error) => return ControlFlow::Break(Box::new(error)),
        };
        let is_other = |column: &Column| !merged.iter().any(|merged| merged.name == column.name);
        ControlFlow::Continue(match kind {
            Kind::LeftAlone => left,
            Kind::RightAlone => right,
            _ => {
                let mut both = left.beside(right);
                both.columns.retain(is_other);
                both.columns.splice(0..0, merged);
                both
            }
        })
    }
}

/// A join in parentheses with a name, if it merges columns, is a query of that name.
fn name_columns_of_joined(factor: &mut TableFactor) -> Flow<()> {
    let TableFactor::NestedJoin { table_with_joins, alias: alias @ Some(_) } = factor else {
        return ControlFlow::Continue(());
    };
    if !merges(table_with_joins) {
        return ControlFlow::Continue(());
    }
    let mut subquery = match parse_query("SELECT * FROM joined") {
        Ok(query) => query,
        Err(error) => return ControlFlow::Break(Box::new(error)),
    };
    if let SetExpr::Select(select) = subquery.body.as_mut() {
        select.from = vec![table_with_joins.as_ref().clone()];
    }
    *factor = TableFactor::Derived { lateral: false, subquery, alias: alias.take(), sample: None };
    ControlFlow::Continue(())
}

fn kind_of(operator: &mut JoinOperator) -> Option<(Kind, &mut JoinConstraint)> {
    Some(match operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => (Kind::Left, on),
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Kind::Left, on),
        JoinOperator::AsOf { constraint: on, .. } => (Kind::Left, on),
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (Kind::Right, on),
        JoinOperator::FullOuter(on) => (Kind::Full, on),
        JoinOperator::Semi(on) | JoinOperator::LeftSemi(on) => (Kind::LeftAlone, on),
        JoinOperator::Anti(on) | JoinOperator::LeftAnti(on) => (Kind::LeftAlone, on),
        JoinOperator::RightSemi(on) | JoinOperator::RightAnti(on) => (Kind::RightAlone, on),
        _ => return None,
    })
}

/// The columns that a join merges, whose condition is then written out.
fn merge(kind: Kind, constraint: &mut JoinConstraint, left: &Scope, right: &Scope) -> Result<Vec<Column>> {
    let names = match constraint {
        JoinConstraint::Using(names) => names.iter().map(name_in_using).collect::<Result<Vec<_>>>()?,
        JoinConstraint::Natural if left.complete && right.complete => {
            let is_common = |name: &&Column| right.columns.iter().any(|other| other.name == name.name);
            left.columns.iter().filter(is_common).map(|column| column.name.clone()).collect()
        }
        JoinConstraint::Natural => {
            return Err(Error::unsupported("NATURAL JOIN with a side whose columns have no names in the statement")
                .with_hint("write the join with ON or USING"));
        }
        _ => return Ok(Vec::new()),
    };
    let mut merged: Vec<Column> = Vec::with_capacity(names.len());
    let mut condition = None;
    for name in names {
        let (l, r) = (one(left, &name, "left")?, one(right, &name, "right")?);
        if merged.iter().any(|column| column.name == name) {
            return Err(Error::input(format!("column `{name}` is more than once in what is joined by")));
        }
        let equal = binary(l.clone(), BinaryOperator::Eq, r.clone());
        condition = Some(match condition {
            Some(all) => binary(all, BinaryOperator::And, equal),
            None => equal,
        });
        let value = match kind {
            Kind::Left | Kind::LeftAlone => l,
            Kind::Right | Kind::RightAlone => r,
            Kind::Full => call("coalesce", vec![l, r]),
        };
        merged.push(Column { name, value, written_out: true });
    }
    let always = || Expr::Value(Value::Boolean(true).into());
    *constraint = JoinConstraint::On(condition.unwrap_or_else(always));
    Ok(merged)
}

fn name_in_using(name: &ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(normalize),
        _ => None,
    }
    .ok_or_else(|| Error::input(format!("USING takes names of columns, not `{name}`")))
}

/// The one column of that name on a side.
fn one(side: &Scope, name: &str, which: &str) -> Result<Expr> {
    let mut columns = side.columns.iter().filter(|column| column.name == name);
    match (columns.next(), columns.next(), side.tables.as_slice()) {
        (Some(column), None, _) => Ok(column.value.clone()),
        (Some(_), Some(_), _) => {
            Err(Error::input(format!("column `{name}` of USING could be any of several on the {which} side")))
        }
        (None, _, [table]) if !side.complete => {
            Ok(Expr::CompoundIdentifier([table.as_str(), name].map(|part| Ident::with_quote('"', part)).to_vec()))
        }
        (None, ..) => Err(Error::input(format!("the {which} side of the join has no column `{name}`"))),
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
