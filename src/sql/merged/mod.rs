//! The columns that USING and NATURAL merge, written as what they are.
//!
//! ```text
//! SELECT * FROM t JOIN u USING (id)                 SELECT t.id, t.k, u.a FROM t JOIN u ON t.id = u.id
//! SELECT id FROM t RIGHT JOIN u USING (id)          SELECT u.id AS id FROM t RIGHT JOIN u ON t.id = u.id
//! SELECT id FROM t FULL JOIN u USING (id)           SELECT coalesce(t.id, u.id) AS id FROM t FULL JOIN u ON ...
//! ```
//!
//! The batch engine takes the column of the left side, whatever the join, and does not find it everywhere. A merged column
//! comes first in `*`, once; the columns of the sides keep their own meaning, `t.id` and `u.id`.
//!
//! `scope.rs` says what can be named where; `from.rs` takes the joins of a FROM apart.

mod from;
mod scope;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Ident, JoinConstraint, JoinOperator, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr,
    Statement, TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut, WildcardAdditionalOptions, With,
};

use self::scope::{Known, Scope, last_name};
use super::parse::normalize;
use crate::error::{Error, Result};

pub use self::scope::Catalog;

/// Writes the joins of a statement that merge columns as joins that do not.
///
/// # Errors
/// When a side has no such column, or several, or columns that are not known.
pub fn write_out_merged(statement: &mut Statement, catalog: Catalog) -> Result<()> {
    if Visit::visit(statement, &mut Merges).is_continue() {
        return Ok(());
    }
    let mut merging =
        Merging { known: Known::new(catalog), queries: Vec::new(), froms: Vec::new(), scopes: Vec::new() };
    match VisitMut::visit(statement, &mut merging) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// The constraint of a join that has one.
fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on)
        | JoinOperator::CrossJoin(on)
        | JoinOperator::Semi(on)
        | JoinOperator::LeftSemi(on)
        | JoinOperator::RightSemi(on)
        | JoinOperator::Anti(on)
        | JoinOperator::LeftAnti(on)
        | JoinOperator::RightAnti(on)
        | JoinOperator::AsOf { constraint: on, .. } => Some(on),
        _ => None,
    }
}

/// Whether one of these joins merges columns.
fn merges(item: &TableWithJoins) -> bool {
    let nested = |table: &TableFactor| match table {
        TableFactor::NestedJoin { table_with_joins, alias: None } => merges(table_with_joins),
        _ => false,
    };
    let merging = |operator| matches!(constraint(operator), Some(JoinConstraint::Using(_) | JoinConstraint::Natural));
    nested(&item.relation) || item.joins.iter().any(|join| merging(&join.join_operator) || nested(&join.relation))
}

/// Looks for a join that merges columns.
struct Merges;

impl Visitor for Merges {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.from.iter().any(merges) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        match table {
            TableFactor::NestedJoin { table_with_joins, .. } if merges(table_with_joins) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The parts of a query that are visited out of turn.
struct Open {
    with: Option<With>,
    order_by: Option<OrderBy>,
    /// What ORDER BY can name beside the columns of the list.
    scope: Option<Scope>,
    common_tables: usize,
}

struct Merging<'a> {
    known: Known<'a>,
    queries: Vec<Open>,
    froms: Vec<Vec<TableWithJoins>>,
    /// What can be named in the SELECTs around, the nearest last.
    scopes: Vec<Scope>,
}

impl VisitorMut for Merging<'_> {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let common_tables = self.known.common_tables();
        let mut with = query.with.take();
        let recursive = with.as_ref().is_some_and(|with| with.recursive);
        for cte in with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if let (true, SetExpr::SetOperation { left, .. }) = (recursive, cte.query.body.as_mut()) {
                VisitMut::visit(left, self)?;
                let columns = self.known.columns_of_body(left);
                self.known.add_common_table(&cte.alias, columns);
            }
            VisitMut::visit(&mut cte.query, self)?;
            let columns = self.known.columns_of_query(&cte.query);
            self.known.add_common_table(&cte.alias, columns);
        }
        let order_by = query.order_by.take();
        self.queries.push(Open { with, order_by, scope: None, common_tables });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let Some(mut open) = self.queries.pop() else { return ControlFlow::Continue(()) };
        if let (SetExpr::Select(select), Some(scope), Some(order_by)) =
            (query.body.as_ref(), open.scope.take(), &mut open.order_by)
        {
            self.scopes.push(scope);
            self.order(select, order_by)?;
            self.scopes.pop();
        }
        (query.with, query.order_by) = (open.with, open.order_by);
        self.known.forget_common_tables(open.common_tables);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let mut from = std::mem::take(&mut select.from);
        let scope = self.from(&mut from)?;
        self.froms.push(from);
        if scope.merges() {
            match listed(&scope, std::mem::take(&mut select.projection)) {
                Ok(list) => select.projection = list,
                Err(error) => return ControlFlow::Break(Box::new(error)),
            }
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        select.from = self.froms.pop().unwrap_or_default();
        let scope = self.scopes.pop();
        if let Some(query) = self.queries.last_mut() {
            query.scope = scope;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let Expr::Identifier(name) = expr else { return ControlFlow::Continue(()) };
        match self.meant(name) {
            Ok(Some(value)) => *expr = value,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(Box::new(error)),
        }
        ControlFlow::Continue(())
    }
}

impl Merging<'_> {
    /// What a name without a table stands for, where it stands for a merged column.
    fn meant(&self, name: &Ident) -> Result<Option<Expr>> {
        let wanted = normalize(name);
        for (at, scope) in self.scopes.iter().enumerate().rev() {
            let mut columns = scope.columns.iter().filter(|column| column.name == wanted);
            match (columns.next(), columns.next()) {
                (Some(column), None) if column.written_out => {
                    let hidden = self.scopes[at + 1..].iter().flat_map(|inner| inner.relations());
                    let hidden = hidden.filter(|inner| column.tables().contains(inner)).collect::<Vec<_>>();
                    return match hidden.first() {
                        None => Ok(Some(column.value.clone())),
                        Some(table) => Err(Error::unsupported(format!(
                            "`{wanted}` is a column of joined tables outside of a subquery in which `{table}` is another"
                        ))
                        .with_hint("give the inner table another name with AS")),
                    };
                }
                (Some(_), _) => return Ok(None),
                (None, _) if !scope.complete => return Ok(None),
                (None, _) => {}
            }
        }
        Ok(None)
    }

    /// A name alone is that of a column of the list, where there is one; within an expression it is a column of FROM.
    fn order(&mut self, select: &Select, order_by: &mut OrderBy) -> ControlFlow<Box<Error>> {
        let OrderByKind::Expressions(keys) = &mut order_by.kind else { return ControlFlow::Continue(()) };
        let has_distinct_on = matches!(select.distinct, Some(Distinct::On(_)));
        for key in keys {
            if let Expr::Identifier(name) = &key.expr {
                let wanted = normalize(name);
                let listed =
                    select.projection.iter().find(|item| super::columns::name_of(item) == Some(wanted.clone()));
                let is_listed = match listed {
                    // The keys of DISTINCT ON are compared as they are written.
                    Some(SelectItem::ExprWithAlias { expr, .. }) if has_distinct_on => {
                        !self.meant(name).is_ok_and(|meant| meant.as_ref() == Some(expr))
                    }
                    Some(_) => true,
                    None => false,
                };
                if is_listed {
                    continue;
                }
            }
            VisitMut::visit(&mut key.expr, self)?;
        }
        ControlFlow::Continue(())
    }
}

/// The list of a SELECT with `*` written out and merged columns under their names.
fn listed(scope: &Scope, list: Vec<SelectItem>) -> Result<Vec<SelectItem>> {
    let mut written = Vec::with_capacity(list.len());
    for item in list {
        match item {
            SelectItem::Wildcard(options) => written.extend(all_columns(scope, &options)?),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
                let wanted = normalize(&name);
                let mut columns = scope.columns.iter().filter(|column| column.name == wanted);
                written.push(match (columns.next(), columns.next()) {
                    (Some(column), None) if column.written_out => under_its_name(column.value.clone(), &wanted),
                    _ => SelectItem::UnnamedExpr(Expr::Identifier(name)),
                });
            }
            item => written.push(item),
        }
    }
    Ok(written)
}

fn under_its_name(value: Expr, name: &str) -> SelectItem {
    if last_name(&value).as_deref() == Some(name) {
        SelectItem::UnnamedExpr(value)
    } else {
        SelectItem::ExprWithAlias { expr: value, alias: Ident::with_quote('"', name) }
    }
}

/// What `*` stands for.
fn all_columns(scope: &Scope, options: &WildcardAdditionalOptions) -> Result<Vec<SelectItem>> {
    if !scope.complete {
        return Err(Error::unsupported("`*` over a join that merges columns, beside a function in FROM")
            .with_hint("give the function's columns names, as in f(x) AS f(a, b), or name the columns of the list"));
    }
    let left_out = scope::left_out(options)?;
    let replaced = |name: &str| {
        let items = options.opt_replace.iter().flat_map(|replace| &replace.items);
        items.filter(|item| normalize(&item.column_name) == name).map(|item| item.expr.clone()).next()
    };
    let columns = scope.columns.iter().filter(|column| !left_out.contains(&column.name));
    let items = columns.map(|column| match replaced(&column.name) {
        Some(expr) => SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', &column.name) },
        None => under_its_name(column.value.clone(), &column.name),
    });
    Ok(items.collect())
}
