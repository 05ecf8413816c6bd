//! Waiting for the sources of what a statement reads.

use datafusion::sql::sqlparser::ast;

use super::Session;
use crate::engine::names;
use crate::engine::prepared::Body;
use crate::error::Result;
use crate::sql::past::take_asked;
use crate::sql::statement::{Explain, Statement};

impl Session {
    /// Waits until all sources are at their end. One that failed stops a query of what it fed, and no other statement.
    pub(super) fn wait_for_sources(&self, statement: &Statement) -> Result<()> {
        let of_query = |query: &ast::Query| -> Result<Vec<u32>> {
            let (catalog, mut query) = (self.catalog(), query.clone());
            let past = take_asked(&mut query)?;
            let mut reads = names::reads(&catalog, ast::Statement::Query(Box::new(query)))?;
            reads.extend(past.iter().filter_map(|asked| Some(catalog.find(&asked.name)?.id)));
            Ok(names::sources(&catalog, &reads, true))
        };
        let reads = match statement {
            Statement::Query(query) => of_query(query)?,
            Statement::CreateTableAs(create) => of_query(&create.query)?,
            Statement::Execute(execute) => match self.template(&execute.name)?.body() {
                Body::Query(query) => of_query(query)?,
                Body::Change(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        self.database.inner().sources.wait(Some(&reads), &self.cancel)
    }
}

/// Whether a statement shows rows that a source may still add to.
pub fn reads_rows(statement: &Statement) -> bool {
    match statement {
        Statement::Query(_)
        | Statement::Change(_)
        | Statement::CreateTableAs(_)
        | Statement::Execute(_)
        | Statement::Copy(_)
        | Statement::Subscribe(_)
        | Statement::Replay(_)
        | Statement::Verify(_)
        | Statement::Checkpoint => true,
        Statement::Explain(explain) => !matches!(explain, Explain::NewView(_)),
        _ => false,
    }
}
