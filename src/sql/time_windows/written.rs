//! What can be known of a call before it is planned: its rows, and what it is called.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Query, SelectItem, TableAlias, TableFactor,
};

use super::arguments::Kind;
use crate::sql::parse::time_windows::WINDOWS;

/// A call in FROM.
pub(super) struct Written<'a> {
    pub(super) kind: Kind,
    pub(super) args: &'a [FunctionArg],
    alias: Option<&'a TableAlias>,
}

impl<'a> Written<'a> {
    /// The call that a part of FROM is, if it is one.
    pub(super) fn of(factor: &'a TableFactor) -> Option<Self> {
        let (name, args, alias) = match factor {
            TableFactor::Table { name, args: Some(args), alias, .. } => (name, &args.args, alias),
            TableFactor::TableFunction { expr: Expr::Function(function), alias } => match &function.args {
                FunctionArguments::List(list) => (&function.name, &list.args, alias),
                _ => return None,
            },
            _ => return None,
        };
        Some(Written { kind: kind(name)?, args, alias: alias.as_ref() })
    }

    /// The query of the rows that get windows.
    fn rows(&self) -> Option<&'a Query> {
        let first = match self.args.first()? {
            FunctionArg::Unnamed(_) => self.args.first()?,
            _ => self.args.iter().find(
                |arg| matches!(arg, FunctionArg::Named { name, .. } if name.value.eq_ignore_ascii_case("data")),
            )?,
        };
        match first {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(rows)))
            | FunctionArg::Named { arg: FunctionArgExpr::Expr(Expr::Subquery(rows)), .. } => Some(rows),
            _ => None,
        }
    }
}

fn kind(name: &ObjectName) -> Option<Kind> {
    let [part] = name.0.as_slice() else { return None };
    let name = part.as_ident()?.value.to_lowercase();
    let at = WINDOWS.iter().position(|window| *window == name)?;
    Some([Kind::Tumble, Kind::Hop, Kind::Cumulate, Kind::Session][at])
}

/// The query of the rows that get windows, where a part of FROM is such a call.
pub fn rows(factor: &TableFactor) -> Option<&Query> {
    Written::of(factor)?.rows()
}

/// The name under which a part of FROM, which is such a call, is known: its alias, or the name of the table that it is
/// over.
pub fn alias(factor: &TableFactor) -> Option<TableAlias> {
    let written = Written::of(factor)?;
    if let Some(alias) = written.alias {
        return Some(alias.clone());
    }
    let select = written.rows()?.body.as_select()?;
    let ([item], [SelectItem::Wildcard(_)]) = (select.from.as_slice(), select.projection.as_slice()) else {
        return None;
    };
    match &item.relation {
        TableFactor::Table { alias: Some(alias), .. } if item.joins.is_empty() => {
            Some(TableAlias { columns: Vec::new(), ..alias.clone() })
        }
        TableFactor::Table { name, args: None, .. } if item.joins.is_empty() => {
            let name = name.0.last()?.as_ident()?.clone();
            Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None })
        }
        _ => None,
    }
}
