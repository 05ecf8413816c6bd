//! EXPLAIN: a query's plan, or the lookup that it is.

use datafusion::logical_expr::{ExplainOption, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast;

use super::{Outcome, Session};
use crate::engine::ddl_view;
use crate::engine::lookup::{may_be_lookup, recognize};
use crate::engine::prepared::Body;
use crate::engine::providers::Batching;
use crate::engine::query::Rows;
use crate::engine::show::{self, texts};
use crate::error::{Error, Result};
use crate::sql::statement::{Execute, Explain};

impl Session {
    pub(super) fn explain(&mut self, explain: Explain) -> Result<Outcome> {
        match explain {
            Explain::View(name) => show::circuit(&self.database, &name).map(Outcome::Rows),
            Explain::NewView(create) => ddl_view::explain(&self.database, &create).map(Outcome::Rows),
            Explain::Execute(execute) => self.explain_prepared(&execute).map(Outcome::Rows),
            Explain::Query { query, analyze, verbose } => {
                let lookup = if analyze { None } else { self.explain_lookup(&query)? };
                lookup.map_or_else(|| self.explain_scan(&query, analyze, verbose), Ok).map(Outcome::Rows)
            }
        }
    }

    fn explain_scan(&mut self, query: &ast::Query, analyze: bool, verbose: bool) -> Result<Rows> {
        let (plan, _) = self.reads(query)?.plan(Batching::Whole)?;
        let option = ExplainOption { verbose, analyze, ..ExplainOption::default() };
        let plan = LogicalPlanBuilder::from(plan).explain_option_format(option)?.build()?;
        show::lines(&self.runner().collect(plan)?)
    }

    fn explain_prepared(&mut self, execute: &Execute) -> Result<Rows> {
        let template = self.template(&execute.name)?;
        let values = self.arguments(&execute.arguments)?;
        let Body::Query(query) = template.body() else {
            return Err(Error::unsupported(format!("EXPLAIN: `{}` is not a query", execute.name)));
        };
        let values = template.fit(&self.database, &values)?;
        if self.transaction.is_none()
            && let Some(lines) = template.explain(&self.database)?
        {
            return lookup_lines(&lines);
        }
        self.with_values(values, |session| session.explain_scan(query, false, false)).map_err(Error::without_place)
    }

    /// The lines that explain a query that is a lookup.
    fn explain_lookup(&self, query: &ast::Query) -> Result<Option<Rows>> {
        let catalog = self.catalog();
        if self.transaction.is_some() || !may_be_lookup(&self.database, &catalog, query) {
            return Ok(None);
        }
        let session = self.database.inner().session.load_full();
        match recognize(&self.database, &session, &catalog, query) {
            Ok(Some(lookup)) => lookup_lines(lookup.explain()).map(Some),
            _ => Ok(None),
        }
    }
}

fn lookup_lines(lines: &[String]) -> Result<Rows> {
    let kinds = (0..lines.len()).map(|at| Some(if at == 0 { "lookup".to_string() } else { String::new() }));
    texts(vec![("plan_type", kinds.collect()), ("plan", lines.iter().cloned().map(Some).collect())])
}
