//! The parser's tree of a statement that changes rows, checked against the catalog and taken apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::assign::{assignments, place};
use super::conflict::OnConflict;
use super::insert::Source;
use super::merge::{ACTION, Merge};
use super::names::{TARGET, add_with, put_with, relation};
use super::update::Update;
use super::{Dml, Form, Insert, unchangeable};
use crate::engine::catalog::{Catalog, Kind, Object};
use crate::engine::hidden::refuse_hidden_target;
use crate::engine::names::reads;
use crate::error::{Error, Result};
use crate::sql::parse::{normalize, object_name};

impl Dml {
    /// Looks at a statement before it is evaluated.
    ///
    /// # Errors
    /// When the target cannot be changed that way, or the statement says something that has no meaning here.
    pub fn new(catalog: &Catalog, statement: ast::Statement) -> Result<Self> {
        let (with, statement) = match statement {
            ast::Statement::Query(query) => match *query.body {
                ast::SetExpr::Insert(statement)
                | ast::SetExpr::Update(statement)
                | ast::SetExpr::Delete(statement)
                | ast::SetExpr::Merge(statement) => (query.with, statement),
                _ => return Err(not_a_change()),
            },
            statement => (None, statement),
        };
        match statement {
            ast::Statement::Insert(insert) => new_insert(catalog, insert, with),
            ast::Statement::Update(update) => new_update(catalog, update, with),
            ast::Statement::Delete(delete) => new_delete(catalog, delete, with),
            ast::Statement::Merge(merge) => new_merge(catalog, merge, with),
            ast::Statement::Truncate(truncate) => new_truncate(catalog, truncate),
            _ => Err(not_a_change()),
        }
    }
}

fn new_insert(catalog: &Catalog, mut insert: ast::Insert, with: Option<ast::With>) -> Result<Dml> {
    let ast::TableObject::TableName(name) = &insert.table else {
        return Err(Error::unsupported("INSERT takes the name of a stream or table"));
    };
    refuse([
        ("OVERWRITE", insert.overwrite),
        ("IGNORE", insert.ignore),
        ("OR", insert.or.is_some()),
        ("REPLACE", insert.replace_into),
        ("PARTITION", insert.partitioned.is_some()),
        ("SET", !insert.assignments.is_empty()),
        ("OUTPUT", insert.output.is_some()),
        ("AS", insert.insert_alias.is_some()),
    ])?;
    refuse_hidden_target(catalog, name)?;
    let name = object_name(name)?;
    let called = insert.table_alias.as_ref().map_or_else(|| name.clone(), |alias| normalize(&alias.alias));
    let object = catalog.expect(&name)?.clone();
    if object.late_of.is_some() {
        return Err(Error::input(format!("INSERT: late rows come to `{name}` by themselves")));
    }
    if !matches!(object.kind, Kind::Stream | Kind::Table) {
        return Err(unchangeable("INSERT", &object));
    }
    if insert.on.is_some() && object.kind == Kind::Stream {
        return Err(unchangeable("ON CONFLICT", &object));
    }
    insert.table = ast::TableObject::TableName(target_name());
    let reads = reads_with(catalog, ast::Statement::Insert(insert.clone()), with.clone())?;
    let mut query = insert.source;
    if let (Some(query), Some(with)) = (&mut query, &with) {
        add_with(query, with);
    }
    let conflict = match insert.on {
        Some(clause) => OnConflict::new(&object, clause, with.as_ref())?,
        None => None,
    };
    let source = Source::new(&object, &insert.columns, query)?;
    let returning = returning(insert.returning, with.as_ref());
    let form = Form::Insert(Box::new(Insert { source, conflict }));
    Ok(Dml { verb: "INSERT", targets: vec![object], called, form, returning, reads, proposed: None })
}

fn new_update(catalog: &Catalog, mut update: ast::Update, with: Option<ast::With>) -> Result<Dml> {
    let (object, called) = table(catalog, "UPDATE", &mut update.table)?;
    refuse([
        ("OR", update.or.is_some()),
        ("ORDER BY", !update.order_by.is_empty()),
        ("LIMIT", update.limit.is_some()),
        ("OUTPUT", update.output.is_some()),
    ])?;
    let reads = reads_with(catalog, ast::Statement::Update(update.clone()), with.clone())?;
    update.assignments.iter_mut().for_each(|assignment| put_with(with.as_ref(), &mut assignment.value));
    let set = Some(assignments(update.assignments, &object, "UPDATE")?);
    let from = match update.from {
        Some(ast::UpdateTableFromKind::BeforeSet(from) | ast::UpdateTableFromKind::AfterSet(from)) => from,
        None => Vec::new(),
    };
    let returning = returning(update.returning, with.as_ref());
    let update = Update { called: called.clone(), from, with, condition: update.selection, set };
    let form = Form::Update(Box::new(update));
    Ok(Dml { verb: "UPDATE", targets: vec![object], called, form, returning, reads, proposed: None })
}

fn new_delete(catalog: &Catalog, mut delete: ast::Delete, with: Option<ast::With>) -> Result<Dml> {
    let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &mut delete.from;
    let [one] = from.as_mut_slice() else {
        return Err(Error::unsupported("DELETE takes one table").with_hint("name the others behind USING"));
    };
    let (object, called) = table(catalog, "DELETE", one)?;
    refuse([
        ("ORDER BY", !delete.order_by.is_empty()),
        ("LIMIT", delete.limit.is_some()),
        ("OUTPUT", delete.output.is_some()),
        ("DELETE of several tables", !delete.tables.is_empty()),
    ])?;
    let reads = reads_with(catalog, ast::Statement::Delete(delete.clone()), with.clone())?;
    let returning = returning(delete.returning, with.as_ref());
    let from = delete.using.unwrap_or_default();
    let update = Update { called: called.clone(), from, with, condition: delete.selection, set: None };
    let form = Form::Update(Box::new(update));
    Ok(Dml { verb: "DELETE", targets: vec![object], called, form, returning, reads, proposed: None })
}

fn new_merge(catalog: &Catalog, mut merge: ast::Merge, with: Option<ast::With>) -> Result<Dml> {
    let (name, called) = relation(catalog, &merge.table, "MERGE")?;
    let object = changeable(catalog, "MERGE", &name)?;
    if let ast::TableFactor::Table { name, .. } = &mut merge.table {
        *name = target_name();
    }
    let reads = reads_with(catalog, ast::Statement::Merge(merge.clone()), with.clone())?;
    let items = match merge.output.take() {
        Some(ast::OutputClause::Returning { select_items, .. }) => Some(select_items),
        Some(ast::OutputClause::Output { .. }) => {
            return Err(Error::unsupported("`OUTPUT` is not supported").with_hint("write RETURNING"));
        }
        None => None,
    };
    let mut returning = returning(items, with.as_ref());
    returning.iter_mut().flatten().for_each(name_action);
    let merge = Merge::new(&object, called.clone(), merge, with)?;
    let form = Form::Merge(Box::new(merge));
    Ok(Dml { verb: "MERGE", targets: vec![object], called, form, returning, reads, proposed: None })
}

fn new_truncate(catalog: &Catalog, truncate: ast::Truncate) -> Result<Dml> {
    refuse([("PARTITION", truncate.partitions.is_some()), ("ON CLUSTER", truncate.on_cluster.is_some())])?;
    let mut targets: Vec<Arc<Object>> = Vec::new();
    for table in &truncate.table_names {
        refuse_hidden_target(catalog, &table.name)?;
        let name = object_name(&table.name)?;
        if truncate.if_exists && catalog.find(&name).is_none() {
            continue;
        }
        let object = changeable(catalog, "TRUNCATE", &name).map_err(|e| e.with_place(place(table.name.span())))?;
        if targets.iter().all(|other| other.id != object.id) {
            targets.push(object);
        }
    }
    let (called, returning, reads) = (String::new(), None, BTreeSet::new());
    Ok(Dml { verb: "TRUNCATE", targets, called, form: Form::Truncate, returning, reads, proposed: None })
}

fn not_a_change() -> Error {
    Error::Internal("not a statement that changes rows".into())
}

/// A table that statements can change.
fn changeable(catalog: &Catalog, verb: &str, name: &str) -> Result<Arc<Object>> {
    let object = catalog.expect(name)?;
    match object.kind {
        Kind::Table => Ok(object.clone()),
        _ => Err(unchangeable(verb, object)),
    }
}

/// The target, which gets its other name, and what expressions call it.
fn table(catalog: &Catalog, verb: &str, table: &mut ast::TableWithJoins) -> Result<(Arc<Object>, String)> {
    let (name, called) = relation(catalog, &table.relation, verb)?;
    if !table.joins.is_empty() {
        return Err(Error::unsupported(format!("{verb} takes one table, not a join")));
    }
    if let ast::TableFactor::Table { name, .. } = &mut table.relation {
        *name = target_name();
    }
    Ok((changeable(catalog, verb, &name)?, called))
}

fn target_name() -> ast::ObjectName {
    ast::ObjectName::from(vec![ast::Ident::with_quote('"', TARGET)])
}

/// The objects that a statement names; its target goes by another name.
fn reads_with(catalog: &Catalog, statement: ast::Statement, with: Option<ast::With>) -> Result<BTreeSet<u32>> {
    let body = match &statement {
        ast::Statement::Insert(_) => ast::SetExpr::Insert(statement),
        ast::Statement::Update(_) => ast::SetExpr::Update(statement),
        ast::Statement::Delete(_) => ast::SetExpr::Delete(statement),
        _ => ast::SetExpr::Merge(statement),
    };
    let mut query = crate::sql::parse::parse_query("SELECT 1")?;
    (query.with, *query.body) = (with, body);
    reads(catalog, ast::Statement::Query(query))
}

fn returning(items: Option<Vec<ast::SelectItem>>, with: Option<&ast::With>) -> Option<Vec<ast::SelectItem>> {
    let mut items = items;
    items.iter_mut().flatten().for_each(|item| put_with(with, item));
    items
}

/// `merge_action()` is a column, under its own name.
fn name_action(item: &mut ast::SelectItem) {
    let is_action = |expr: &ast::Expr| matches!(expr, ast::Expr::Function(f) if f.name.to_string().eq_ignore_ascii_case("merge_action"));
    if let ast::SelectItem::UnnamedExpr(expr) = item
        && is_action(expr)
    {
        let (expr, alias) = (expr.clone(), ast::Ident::with_quote('"', "merge_action"));
        *item = ast::SelectItem::ExprWithAlias { expr, alias };
    }
    let _ = ast::visit_expressions_mut(item, |expr| {
        if is_action(expr) {
            *expr = ast::Expr::Identifier(ast::Ident::with_quote('"', ACTION));
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
}

/// Refuses clauses of other dialects that the parser reads.
fn refuse<const N: usize>(clauses: [(&str, bool); N]) -> Result<()> {
    match clauses.into_iter().find(|(_, given)| *given) {
        Some((clause, _)) => Err(Error::unsupported(format!("`{clause}` is not supported here"))),
        None => Ok(()),
    }
}
