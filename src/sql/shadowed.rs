//! Names of tables further out that a column hides.
//!
//! ```text
//! SELECT 1 FROM t AS a WHERE EXISTS (SELECT 1 FROM t AS c WHERE c.g = a.g)       where t has a column a
//! ```
//!
//! In Postgres `a.g` is the column of the outer `t`. The batch engine takes it for a field of the column `a` of the inner
//! one, which may be there and be something else. So such a name is refused.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Spanned, Statement, TableAlias, TableFactor, TableWithJoins, Visit, Visitor,
};

use super::columns::name_of;
use super::merged::Catalog;
use super::parse::normalize;
use super::time_windows::{self, COLUMNS as WINDOW};
use crate::error::{Error, Place, Result};

/// Refuses names of outer tables where the columns of inner ones have that name.
///
/// # Errors
/// [`Error::Unsupported`] that names both.
pub fn refuse_shadowed(statement: &Statement, catalog: Catalog) -> Result<()> {
    match Visit::visit(statement, &mut Shadows { catalog, selects: Vec::new() }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// What a SELECT's FROM names.
#[derive(Default)]
struct Named {
    tables: HashSet<String>,
    /// Columns that the text names.
    columns: HashSet<String>,
    /// Relations whose columns the catalog knows. They are asked for only when they matter: a view has to be planned for
    /// its columns, and so do the views below it.
    relations: Vec<ObjectName>,
}

struct Shadows<'a> {
    catalog: Catalog<'a>,
    /// The SELECTs around, the nearest last.
    selects: Vec<Named>,
}

impl Visitor for Shadows<'_> {
    type Break = Box<Error>;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let mut named = Named::default();
        select.from.iter().for_each(|item| named.add(item));
        self.selects.push(named);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<Self::Break> {
        self.selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        let Expr::CompoundIdentifier(parts) = expr else { return ControlFlow::Continue(()) };
        let table = normalize(&parts[0]);
        let Some(of) = self.selects.iter().rposition(|select| select.tables.contains(&table)) else {
            return ControlFlow::Continue(());
        };
        if !self.selects[of + 1..].iter().any(|select| select.has_column(&table, self.catalog)) {
            return ControlFlow::Continue(());
        }
        let start = expr.span().start;
        let error =
            Error::unsupported(format!("`{expr}` may be of the outer table `{table}` or of the column `{table}`"))
                .with_hint("give the outer table another name with AS")
                .with_place(Some(Place { line: start.line, column: start.column }));
        ControlFlow::Break(Box::new(error))
    }
}

impl Named {
    fn has_column(&self, wanted: &str, catalog: Catalog) -> bool {
        let known = |name| catalog(name).is_some_and(|columns| columns.iter().any(|column| column == wanted));
        self.columns.contains(wanted) || self.relations.iter().any(known)
    }

    fn add(&mut self, item: &TableWithJoins) {
        for factor in std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation)) {
            if let Some(rows) = time_windows::rows(factor) {
                self.tables.extend(time_windows::alias(factor).map(|alias| normalize(&alias.name)));
                self.columns.extend(listed(rows));
                self.columns.extend(WINDOW.map(String::from));
                if let Some(select) = rows.body.as_select() {
                    self.relations.extend(select.from.iter().filter_map(name_of_relation));
                }
                continue;
            }
            let alias = match factor {
                TableFactor::Table { name, alias, .. } => {
                    self.relations.push(name.clone());
                    if alias.is_none() {
                        self.tables.extend(name.0.last().and_then(|part| part.as_ident()).map(normalize));
                    }
                    alias
                }
                TableFactor::Derived { subquery, alias, .. } => {
                    self.columns.extend(listed(subquery));
                    alias
                }
                TableFactor::NestedJoin { table_with_joins, alias } => {
                    self.add(table_with_joins);
                    alias
                }
                TableFactor::TableFunction { alias, .. }
                | TableFactor::Function { alias, .. }
                | TableFactor::UNNEST { alias, .. } => alias,
                _ => &None,
            };
            if let Some(TableAlias { name, columns, .. }) = alias {
                self.tables.insert(normalize(name));
                self.columns.extend(columns.iter().map(|column| normalize(&column.name)));
            }
        }
    }
}

/// The relation that an item of FROM is.
fn name_of_relation(item: &TableWithJoins) -> Option<ObjectName> {
    match &item.relation {
        TableFactor::Table { name, args: None, .. } => Some(name.clone()),
        _ => None,
    }
}

/// The names of the columns that a query lists.
fn listed(query: &Query) -> Vec<String> {
    let select = query.body.as_select();
    select.into_iter().flat_map(|select| select.projection.iter().filter_map(name_of)).collect()
}
