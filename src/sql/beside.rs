//! Table functions beside the tables whose columns they name, as subqueries.
//!
//! The batch engine knows UNNEST in a SELECT list, and table functions of constants alone. In FROM they become:
//!
//! ```text
//! t, unnest(t.xs, t.ys) WITH ORDINALITY AS u(x, y, n)
//!     t, LATERAL (SELECT unnest(t.xs) AS x, unnest(t.ys) AS y,
//!                        unnest(generate_series(1, greatest(array_length(t.xs), array_length(t.ys)))) AS n) AS u
//! t, generate_series(1, t.n) AS g(i)
//!     t, LATERAL (SELECT unnest(generate_series(1, t.n)) AS i) AS g
//! ```
//!
//! A series of constants stays what it is: its rows are made as they are read. What stands behind a comma and looks at
//! what is before it is joined to that at once: `t, f(t.a) u JOIN v ON ...` becomes `t CROSS JOIN f(t.a) u JOIN v ON ...`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select,
    SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::columns::name_of as name_of_item;
use super::parse::{parse_expression, parse_query};
use super::postgres::{call, name_of, names_column};
use crate::error::{Error, Result};

/// Makes subqueries of the table functions of a statement, as the module's text says.
///
/// # Errors
/// When a function has arguments that are no expressions, or a clause that it cannot have.
pub fn beside_tables(statement: &mut impl VisitMut) -> Result<()> {
    match statement.visit(&mut Selects) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Selects;

impl VisitorMut for Selects {
    type Break = Box<Error>;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        match from(select) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

fn from(select: &mut Select) -> Result<()> {
    for (at, item) in select.from.iter_mut().enumerate() {
        relations(item, at > 0)?;
    }
    let looks_back =
        |item: &TableWithJoins| is_lateral(&item.relation) || item.joins.iter().any(|j| is_lateral(&j.relation));
    if select.from.iter().skip(1).any(looks_back) && select.from.iter().skip(1).all(can_be_joined) {
        let mut items = std::mem::take(&mut select.from).into_iter();
        let mut all = items.next().expect("an item was skipped");
        for item in items {
            let looks_back = looks_back(&item);
            let TableWithJoins { relation, joins } = item;
            let (relation, joins) = match joins.is_empty() || looks_back {
                true => (relation, joins),
                false => (nested(TableWithJoins { relation, joins }), Vec::new()),
            };
            let join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
            all.joins.push(Join { relation, global: false, join_operator });
            all.joins.extend(joins);
        }
        select.from = vec![all];
    }
    Ok(())
}

fn nested(item: TableWithJoins) -> TableFactor {
    TableFactor::NestedJoin { table_with_joins: Box::new(item), alias: None }
}

/// Whether the joins of an item mean the same where more stands before them.
fn can_be_joined(item: &TableWithJoins) -> bool {
    item.joins.iter().all(|join| match &join.join_operator {
        JoinOperator::CrossJoin(constraint)
        | JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint) => matches!(constraint, JoinConstraint::On(_) | JoinConstraint::None),
        _ => false,
    })
}

fn relations(item: &mut TableWithJoins, is_after: bool) -> Result<()> {
    relation(&mut item.relation, is_after)?;
    item.joins.iter_mut().try_for_each(|join| relation(&mut join.relation, true))
}

fn is_lateral(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Derived { lateral: true, .. })
}

/// One relation of a FROM; `is_after` says that others stand before it.
fn relation(factor: &mut TableFactor, is_after: bool) -> Result<()> {
    let (call, alias, numbered) = match factor {
        TableFactor::Derived { lateral: true, subquery, .. } => {
            name_columns_of_others(subquery);
            return Ok(());
        }
        TableFactor::NestedJoin { table_with_joins, .. } => return relations(table_with_joins, false),
        TableFactor::UNNEST { array_exprs, alias, with_offset: false, with_ordinality, .. } => {
            (Call::Unnest(array_exprs.clone()), alias.take(), *with_ordinality)
        }
        TableFactor::UNNEST { .. } => {
            return Err(Error::unsupported("`UNNEST ... WITH OFFSET`").with_hint("WITH ORDINALITY counts from one"));
        }
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            let Some(call) = Call::of(name, &args.args, *with_ordinality)? else { return Ok(()) };
            (call, alias.take(), *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            let Some(call) = Call::of(name, args, *with_ordinality)? else { return Ok(()) };
            (call, alias.take(), *with_ordinality)
        }
        _ => return Ok(()),
    };
    let (subquery, name) = call.subquery(alias, numbered)?;
    let alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
    *factor = TableFactor::Derived { lateral: is_after, subquery: Box::new(subquery), alias, sample: None };
    Ok(())
}

/// Names the columns that a lateral subquery lists: the batch engine would call one of another relation by its plan.
fn name_columns_of_others(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let mut names: Vec<Option<String>> = select.projection.iter().map(name_of_item).collect();
    names.sort_unstable();
    if names.contains(&None) || names.windows(2).any(|pair| pair[0] == pair[1]) {
        return;
    }
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let alias = match expr {
            Expr::Identifier(name) => Some(name.clone()),
            Expr::CompoundIdentifier(path) => path.last().cloned(),
            _ => None,
        };
        if let Some(alias) = alias {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// A call of a table function.
enum Call {
    /// `unnest` of these lists.
    Unnest(Vec<Expr>),
    /// A series, as a list.
    Series(Box<Expr>),
}

impl Call {
    /// The call, where it is one that the batch engine does not know.
    fn of(name: &ObjectName, args: &[FunctionArg], numbered: bool) -> Result<Option<Call>> {
        let Some(name) = name_of(name).filter(|n| matches!(n.as_str(), "unnest" | "generate_series" | "range")) else {
            return Ok(None);
        };
        let argument = |arg: &FunctionArg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
            other => Err(Error::input(format!("`{other}` as an argument of {name}: an expression is expected"))),
        };
        let args = args.iter().map(argument).collect::<Result<Vec<_>>>()?;
        Ok(match name.as_str() {
            "unnest" => Some(Call::Unnest(args)),
            _ if numbered || args.iter().any(names_column) => Some(Call::Series(Box::new(call(&name, args)))),
            _ => None,
        })
    }

    /// The subquery that gives its rows, and its name.
    fn subquery(self, alias: Option<TableAlias>, numbered: bool) -> Result<(Query, Ident)> {
        let (lists, function, column) = match self {
            Call::Unnest(lists) => (lists, "unnest", "unnest"),
            Call::Series(list) => (vec![*list], "series", "value"),
        };
        let (name, given) = match alias {
            Some(TableAlias { name, columns, .. }) => (Some(name), columns),
            None => (None, Vec::new()),
        };
        let count = lists.len() + usize::from(numbered);
        // One list of structs under as many names as these have fields.
        let fields = lists.len() == 1 && given.len() > count;
        let mut items: Vec<Expr> = lists.iter().map(|list| call("unnest", vec![list.clone()])).collect();
        if fields {
            items = items.into_iter().map(|item| call("unnest", vec![item])).collect();
        }
        if numbered {
            items.push(call("unnest", vec![numbers(lists)?]));
        }
        let query = if fields {
            let mut query = *parse_query("SELECT 1")?;
            select_of(&mut query)?.projection = items.into_iter().map(SelectItem::UnnamedExpr).collect();
            let mut all = *parse_query("SELECT * FROM (SELECT 1) AS made")?;
            let Some(TableFactor::Derived { subquery, alias: Some(alias), .. }) =
                select_of(&mut all)?.from.first_mut().map(|item| &mut item.relation)
            else {
                return Err(Error::Internal("a text of our own is another query".into()));
            };
            **subquery = query;
            alias.columns = given;
            all
        } else {
            let mut names = given.into_iter().map(|TableAliasColumnDef { name, .. }| name);
            let items = items.into_iter().enumerate().map(|(at, expr)| {
                let alias = names.next().unwrap_or_else(|| match (&name, at) {
                    (_, at) if numbered && at + 1 == count => Ident::new("ordinality"),
                    // The one column of a function goes by the name of its table.
                    (Some(name), 0) if count == 1 + usize::from(numbered) => name.clone(),
                    (_, 0) => Ident::new(column),
                    (_, at) => Ident::new(format!("{column}_{}", at + 1)),
                });
                SelectItem::ExprWithAlias { expr, alias }
            });
            let mut query = *parse_query("SELECT 1")?;
            select_of(&mut query)?.projection = items.collect();
            query
        };
        Ok((query, name.unwrap_or_else(|| Ident::new(function))))
    }
}

fn select_of(query: &mut Query) -> Result<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Ok(select),
        _ => Err(Error::Internal("a text of our own is another query".into())),
    }
}

/// The numbers of the rows that lists beside each other give.
fn numbers(lists: Vec<Expr>) -> Result<Expr> {
    let mut lengths: Vec<Expr> = lists.into_iter().map(|list| call("array_length", vec![list])).collect();
    let longest = match lengths.len() {
        1 => lengths.swap_remove(0),
        _ => call("greatest", lengths),
    };
    Ok(call("generate_series", vec![parse_expression("1")?, longest]))
}
