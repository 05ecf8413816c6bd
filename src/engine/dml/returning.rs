//! `RETURNING`: expressions over the rows that a statement has changed, as they are after it; of deleted ones, as they
//! were.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use datafusion::sql::sqlparser::ast;

use super::merge::ACTION;
use super::names::Context;
use super::scope::{Known, Scope};
use crate::engine::query::Rows;
use crate::error::{Error, Result, list};
use crate::operators::project::batch as with_schema;
use crate::sql::columns::name_of;
use crate::sql::parse::normalize;

/// The rows that a statement gives back.
///
/// # Errors
/// When an expression does not fit the columns, or fails on a row.
pub fn returned(context: &Context<'_>, scope: &Scope, items: &[ast::SelectItem]) -> Result<Rows> {
    let mut known = scope.known();
    known.retain(|(_, field)| field.name() != ACTION);
    let mut names = Vec::new();
    let mut exprs = Vec::new();
    for item in items {
        match item {
            ast::SelectItem::Wildcard(options) => {
                plain(options)?;
                add(&known, &mut names, &mut exprs);
            }
            ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                plain(options)?;
                let table = name.0.last().and_then(|part| part.as_ident()).map(normalize).unwrap_or_default();
                let own: Vec<Known> = known.iter().filter(|(of, _)| is_of(of, &table)).cloned().collect();
                if own.is_empty() {
                    let tables: Vec<&str> = known.iter().filter_map(|(of, _)| Some(of.as_ref()?.table())).collect();
                    let error = Error::input(format!("no `{table}` in this statement"));
                    return Err(error.with_hint(format!("RETURNING has the columns of {}", list(&tables))));
                }
                add(&own, &mut names, &mut exprs);
            }
            ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
                names.push(name_of(item).unwrap_or_default());
                exprs.push(expr.clone());
            }
            other => return Err(Error::unsupported(format!("RETURNING does not take `{other}`"))),
        }
    }
    let columns = scope.evaluate(context, "RETURNING", &exprs)?;
    let fields = names.iter().zip(&columns).map(|(name, column)| Field::new(name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch: RecordBatch = with_schema(&schema, columns, scope.len())?;
    Ok(Rows { schema, batches: vec![batch] })
}

fn is_of(table: &Option<datafusion::common::TableReference>, name: &str) -> bool {
    table.as_ref().is_some_and(|table| table.table() == name)
}

/// Every column; where two have one name, each by its table.
fn add(known: &[Known], names: &mut Vec<String>, exprs: &mut Vec<ast::Expr>) {
    for (table, field) in known {
        let name = ast::Ident::with_quote('"', field.name());
        names.push(field.name().clone());
        exprs.push(match table {
            Some(table) => ast::Expr::CompoundIdentifier(vec![ast::Ident::with_quote('"', table.table()), name]),
            None => ast::Expr::Identifier(name),
        });
    }
}

fn plain(options: &ast::WildcardAdditionalOptions) -> Result<()> {
    let ast::WildcardAdditionalOptions { opt_ilike, opt_exclude, opt_except, opt_replace, opt_rename, .. } = options;
    let given =
        [opt_ilike.is_some(), opt_exclude.is_some(), opt_except.is_some(), opt_replace.is_some(), opt_rename.is_some()];
    match given.contains(&true) {
        true => Err(Error::unsupported("RETURNING * takes nothing behind the star")),
        false => Ok(()),
    }
}
