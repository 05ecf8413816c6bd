//! ALTER and COMMENT ON: an object in the place of itself.
//!
//! Rows that are written stay as they are; what they lack of a new column is filled in when they are read. The texts of
//! views stay too: a view remembers what it knows by another name than today's (`Known`).

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast;

use super::catalog::{Catalog, Ddl, Kind, Object};
use super::clock::now;
use super::constraint::{Constraints, defaults};
use super::database::Database;
use super::ddl::{Parts, check_columns, taken};
use super::event_time::late_object;
use super::names::InputNames;
use super::query::Cancel;
use super::session::Outcome;
use crate::error::{Error, Result, list, nearest};
use crate::sql::bind::Binder;
use crate::sql::context::at_time;
use crate::sql::lower::nullable;
use crate::sql::parse::{normalize, parse_expression};
use crate::sql::statement::{Alter, AlterAction, DropKind};

/// ALTER and COMMENT ON.
pub(super) fn alter(database: &Database, alter: Alter, sql: &str) -> Result<Outcome> {
    let tag = match (alter.kind, alter.actions.first()) {
        (_, Some(AlterAction::Comment { .. })) => "COMMENT",
        (Some(DropKind::Stream), _) => "ALTER STREAM",
        (Some(DropKind::View), _) => "ALTER VIEW",
        (Some(DropKind::MaterializedView), _) => "ALTER MATERIALIZED VIEW",
        _ => "ALTER TABLE",
    };
    let session = at_time(&database.inner().view_session.load(), now());
    let sql = sql.trim().trim_end_matches(';').trim_end().to_string();
    let define = move |catalog: &Arc<Catalog>| define_alter(&session, catalog, &alter, &sql);
    database.define(&Cancel::default(), define)?;
    Ok(Outcome::done(tag))
}

fn define_alter(session: &SessionState, catalog: &Catalog, alter: &Alter, sql: &str) -> Result<Vec<Ddl>> {
    let object = match (catalog.find(&alter.name), alter.if_exists) {
        (None, true) => return Ok(Vec::new()),
        _ => catalog.expect(&alter.name)?,
    };
    let fits = match alter.kind {
        Some(DropKind::Stream) => object.kind == Kind::Stream,
        Some(DropKind::Table) => object.kind == Kind::Table,
        Some(DropKind::View) => matches!(object.kind, Kind::View | Kind::MaterializedView),
        Some(DropKind::MaterializedView) => object.kind == Kind::MaterializedView,
        None => true,
    };
    if !fits {
        let kind = object.kind.name();
        return Err(Error::input(format!("`{}` is a {kind}", alter.name)));
    }
    let before = object.as_ref().clone();
    let mut entries = Vec::new();
    let mut object = before.clone();
    for action in &alter.actions {
        let altered = Altered { session, catalog, object: object.clone() }.by(action)?;
        if altered != object {
            entries.push(altered.clone());
        }
        object = altered;
    }
    let is_comment = |action: &AlterAction| matches!(action, AlterAction::Comment { .. });
    if let Some(last) = entries.last_mut()
        && !alter.actions.iter().all(is_comment)
    {
        // What makes the object is now both statements.
        last.sql = format!("{};\n{sql}", before.sql);
    }
    if before.late_of.is_some() {
        let error = Error::input(format!("`{}` is altered with the stream whose late rows it has", before.name));
        return Err(error);
    }
    let with_late = |object: Object| {
        let late = object.event_time.as_ref().map(|event_time| late_object(&object, event_time));
        [Some(object), late].into_iter().flatten().map(|object| Ddl::Alter(Box::new(object)))
    };
    Ok(entries.into_iter().flat_map(with_late).collect())
}

struct Altered<'a> {
    session: &'a SessionState,
    catalog: &'a Catalog,
    object: Object,
}

impl Altered<'_> {
    fn by(mut self, action: &AlterAction) -> Result<Object> {
        match action {
            AlterAction::AddColumn { if_not_exists, column } => self.add_column(*if_not_exists, column)?,
            AlterAction::Rename(name) => {
                if let Some(existing) = self.catalog.find_beside(self.object.session, name) {
                    return Err(taken(existing));
                }
                self.object.name.clone_from(name);
            }
            AlterAction::RenameColumn { from, to } => self.rename_column(from, to)?,
            AlterAction::Comment { column: None, text } => self.object.comments.object.clone_from(text),
            AlterAction::Comment { column: Some(column), text } => {
                let at = self.column(column)?;
                match text {
                    Some(text) => self.object.comments.columns.insert(at, text.clone()),
                    None => self.object.comments.columns.remove(&at),
                };
            }
        }
        Ok(self.object)
    }

    fn add_column(&mut self, if_not_exists: bool, column: &ast::ColumnDef) -> Result<()> {
        let object = &mut self.object;
        if matches!(object.kind, Kind::View | Kind::MaterializedView) {
            let kind = object.kind.name();
            return Err(Error::input(format!("`{}` is a {kind}, whose columns are those of its query", object.name))
                .with_hint("CREATE OR REPLACE VIEW gives it another query"));
        }
        refuse_source(object, "get a column")?;
        let name = normalize(&column.name);
        if if_not_exists && object.schema.index_of(&name).is_ok() {
            return Ok(());
        }
        let facts = Default::default();
        let names = InputNames::new(self.session, self.catalog, &facts);
        let added = Binder::new(self.session, &names).schema(vec![column.clone()])?;
        let fields = object.schema.fields().iter().chain(added.fields()).cloned();
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        check_columns(&object.name, &schema)?;
        let mut parts = Parts {
            table: &object.name,
            catalog: self.catalog,
            key: Vec::new(),
            defaults: vec![None],
            checks: Vec::new(),
        };
        parts.column(0, column, &added)?;
        if !parts.key.is_empty() {
            return Err(Error::unsupported(format!("`{}`: a primary key is given when a table is made", object.name)));
        }
        // The column by itself: what older rows get must satisfy its constraints.
        let (texts, checks) = (parts.defaults, parts.checks);
        let alone =
            Object { schema: added.clone(), key: Vec::new(), defaults: texts.clone(), checks, ..object.clone() };
        let value = self.constant(&alone)?;
        let batch = RecordBatch::try_new(nullable(&added), vec![value.clone()])?;
        Constraints::new(self.session, &alone)?.check(&batch).map_err(|error| {
            error.with_hint("the rows that there are would have this value: a DEFAULT gives them another")
        })?;
        let object = &mut self.object;
        let at = object.schema.fields().len();
        object.schema = schema;
        if texts[0].is_some() || !object.defaults.is_empty() {
            object.defaults.resize(at, None);
            object.defaults.extend(texts);
        }
        object.checks.extend(alone.checks);
        if value.null_count() == 0 {
            object.added.set(at, value)?;
        }
        Ok(())
    }

    /// The value of the rows that there are.
    fn constant(&self, alone: &Object) -> Result<ArrayRef> {
        match defaults(self.session, alone)?.pop() {
            None => Ok(new_null_array(alone.schema.field(0).data_type(), 1)),
            Some((_, Expr::Literal(value, _))) => Ok(value.to_array()?),
            Some((name, _)) => Err(Error::unsupported(format!(
                "the default of the new column `{name}` is another one at each call, and the rows that there are need one"
            ))
            .with_hint("add the column without a default; UPDATE fills it")),
        }
    }

    fn rename_column(&mut self, from: &str, to: &str) -> Result<()> {
        refuse_source(&self.object, "get another name for a column")?;
        let at = self.column(from)?;
        let object = &mut self.object;
        let fields: Vec<Arc<Field>> = object.schema.fields().iter().cloned().collect();
        let renamed = |(place, field): (usize, Arc<Field>)| match place == at {
            true => Arc::new(field.as_ref().clone().with_name(to)),
            false => field,
        };
        object.schema = Arc::new(Schema::new(fields.into_iter().enumerate().map(renamed).collect::<Vec<_>>()));
        check_columns(&object.name, &object.schema)?;
        for check in &mut object.checks {
            check.text = with_renamed(&check.text, from, to)?;
        }
        Constraints::new(self.session, object)?;
        Ok(())
    }

    fn column(&self, name: &str) -> Result<usize> {
        self.object.schema.index_of(name).map_err(|_| {
            let names: Vec<&str> = self.object.schema.fields().iter().map(|f| f.name().as_str()).collect();
            let error = Error::input(format!("`{}` has no column `{name}`", self.object.name));
            match nearest(name, names.iter().copied()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint(format!("its columns are {}", list(&names))),
            }
        })
    }
}

/// A source goes on to bring the columns that it began with.
fn refuse_source(object: &Object, what: &str) -> Result<()> {
    match object.has_source() {
        false => Ok(()),
        true => Err(Error::unsupported(format!("`{}` is read from a source and cannot {what}", object.name))
            .with_hint("make another stream with the columns")),
    }
}

/// The text of a check with another name for a column.
fn with_renamed(text: &str, from: &str, to: &str) -> Result<String> {
    let mut expression = parse_expression(text)?;
    let rename = |ident: &mut ast::Ident| {
        if normalize(ident) == from {
            *ident = ast::Ident::with_quote('"', to);
        }
    };
    let _ = ast::visit_expressions_mut(&mut expression, |expr| {
        match expr {
            ast::Expr::Identifier(ident) => rename(ident),
            ast::Expr::CompoundIdentifier(parts) => parts.first_mut().into_iter().for_each(rename),
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(expression.to_string())
}
