//! Relations of a query that are read as they were, or whose changes are read.
//!
//! ```text
//! FROM v AS OF OFFSET 12 x              FROM "AS OF OFFSET 12".v AS x
//! FROM v AS OF TIMESTAMP '...'          FROM "AS OF TIMESTAMP '...'".v AS v
//! FROM changes('v', 1, 12)              FROM "changes('v', 1, 12)".v AS changes
//! ```
//!
//! The first part of such a name says which moment is meant; who plans the query has rows for it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Spanned, TableAlias,
    TableFactor, TableVersion, Value, VisitMut, VisitorMut,
};

use super::match_recognize::place_of;
use super::parse::as_of::OFFSET;
use super::parse::{normalize, object_name};
use crate::error::{Error, Place, Result};

/// The function of a relation's changes.
pub const CHANGES: &str = "changes";

/// A relation that is read otherwise than as it is now.
pub struct Asked {
    /// The first part of its name in the query.
    pub schema: String,
    /// The last part of its name in the query.
    pub name: String,
    /// The parts of its own name.
    pub relation: Vec<String>,
    /// What is read of it.
    pub what: What,
    /// Where it stands.
    pub place: Option<Place>,
}

/// What is read of a relation.
pub enum What {
    /// Its rows behind a commit.
    Offset(Expr),
    /// Its rows behind the last commit of a time.
    Time(Expr),
    /// Its changes from one commit to another.
    Changes(Box<[Option<Expr>; 2]>),
}

/// Takes from a statement which relations are read otherwise than as they are now, and gives them names that tell them apart.
///
/// # Errors
/// When what is asked of a relation makes no sense.
pub fn take_asked(statement: &mut impl VisitMut) -> Result<Vec<Asked>> {
    let mut taking = Taking::default();
    if let ControlFlow::Break(error) = statement.visit(&mut taking) {
        return Err(*error);
    }
    let of_with = |asked: &&Asked| asked.relation.len() == 1 && taking.with.contains(&asked.relation[0]);
    match taking.asked.iter().find(of_with) {
        None => Ok(taking.asked),
        Some(Asked { relation, place, .. }) => Err(Error::input(format!(
            "`{}` is a query of WITH: it has no past but that of the relations that it reads",
            relation[0]
        ))
        .with_place(*place)),
    }
}

#[derive(Default)]
struct Taking {
    asked: Vec<Asked>,
    /// The names that WITH gives anywhere.
    with: BTreeSet<String>,
}

impl VisitorMut for Taking {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.with.extend(tables.map(|table| normalize(&table.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        self.take(factor).map_or_else(|error| ControlFlow::Break(Box::new(error)), ControlFlow::Continue)
    }
}

impl Taking {
    fn take(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, alias, args, version, .. } = factor else { return Ok(()) };
        let place = place_of(name.span().start);
        let (schema, relation, what, own) = match (&version, &args) {
            (Some(TableVersion::ForSystemTimeAsOf(moment)), None) => {
                let what = match moment {
                    // That of a join's left rows.
                    Expr::Identifier(_) | Expr::CompoundIdentifier(_) => return Ok(()),
                    Expr::Function(call) if is_now(call) => return Ok(()),
                    moment => match offset(moment) {
                        Some(offset) => What::Offset(offset.clone()),
                        None => What::Time(moment.clone()),
                    },
                };
                let relation: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(normalize).collect();
                let own = relation.last().cloned().unwrap_or_default();
                (as_of(moment), relation, what, own)
            }
            (None, Some(given)) if object_name(name).is_ok_and(|name| name == CHANGES) => {
                let at = |error: Error| error.with_place(place);
                let exprs = given.args.iter().map(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
                    other => Err(Error::input(format!("{CHANGES}: {other} has no meaning there"))),
                });
                let mut exprs = exprs.collect::<Result<Vec<_>>>().map_err(at)?.into_iter();
                let of = match exprs.next() {
                    Some(Expr::Value(value)) => match value.value {
                        Value::SingleQuotedString(text) => Some(text),
                        _ => None,
                    },
                    _ => None,
                };
                let (from, to) = (exprs.next(), exprs.next());
                let (Some(of), None) = (of, exprs.next()) else {
                    return Err(at(Error::input(format!(
                        "{CHANGES} takes the name of a relation in quotes, and the first and last offset: \
                         {CHANGES}('v', 1, 12)"
                    ))));
                };
                let schema =
                    format!("{CHANGES}({})", given.args.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
                let relation = of.split('.').map(str::to_string).collect();
                (schema, relation, What::Changes(Box::new([from, to])), CHANGES.to_string())
            }
            _ => return Ok(()),
        };
        let joined = relation.join(".");
        let quoted = |text: &str| Ident { value: text.into(), quote_style: Some('"'), span: name.span() };
        let shown = quoted(&own);
        *name = ObjectName::from(vec![quoted(&schema), quoted(&joined)]);
        (*args, *version) = (None, None);
        if alias.is_none() {
            *alias = Some(TableAlias { explicit: true, name: shown, columns: Vec::new(), at: None });
        }
        if !self.asked.iter().any(|asked| asked.schema == schema && asked.name == joined) {
            self.asked.push(Asked { schema, name: joined, relation, what, place });
        }
        Ok(())
    }
}

/// A moment as it is written.
pub fn as_of(moment: &Expr) -> String {
    match offset(moment) {
        Some(offset) => format!("AS OF OFFSET {offset}"),
        None => format!("AS OF {moment}"),
    }
}

/// The offset of AS OF OFFSET.
fn offset(moment: &Expr) -> Option<&Expr> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = moment else { return None };
    let named = name.0.last().and_then(|part| part.as_ident()).is_some_and(|name| name.value == OFFSET);
    match (named, list.args.as_slice()) {
        (true, [FunctionArg::Unnamed(FunctionArgExpr::Expr(offset))]) => Some(offset),
        _ => None,
    }
}

/// Whether a call is that of a join with what a relation is at the time of a row's own commit.
fn is_now(call: &Function) -> bool {
    object_name(&call.name).is_ok_and(|name| name == "proctime")
}
