//! Lookups: queries of one table or materialized view by its key, which need no scan and no plan of the batch engine.
//!
//! ```text
//! SELECT a + $2 FROM v WHERE key = $1 AND c > 0 ORDER BY d LIMIT 3
//!
//! rows of v whose key is $1 ── filter (all of WHERE) ── sort ── limit ── project
//!    by the engine's index                 by the reader, over the few rows that were found
//! ```
//!
//! A lookup is recognised once, in the optimised plan of the query. The index only leaves out rows whose key differs:
//! the whole condition is evaluated again on those that it finds, by the batch engine's own expressions, so that what
//! equality means (`-0.0`, NaN, NULL, texts compared with numbers) is decided in one place.

mod recognize;
mod run;

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use super::catalog::Object;
use crate::error::Result;
use crate::sql::expr::physical;
use crate::sql::parameters::{has_parameter, with_values};

pub use recognize::{may_be_lookup, recognize};
pub use run::read;

/// Keys that one lookup may have; a query with more scans.
const KEYS_MAX: usize = 10_000;

/// A query that reads rows by their key.
pub struct Lookup {
    /// Whose rows.
    object: Arc<Object>,
    /// The columns of the key, by place, and what each is to be.
    key: Vec<KeyPart>,
    /// What happens to the rows that are found, in order.
    steps: Vec<Step>,
    /// The columns of the result, as they are shown.
    schema: SchemaRef,
    /// The plan in words.
    explained: Vec<String>,
}

/// One column of a key.
struct KeyPart {
    column: usize,
    /// The column's type.
    data_type: DataType,
    /// The values that the query asks for: expressions over constants and parameters.
    values: Vec<Formula>,
}

/// One step on the way from the rows that are found to the result.
enum Step {
    /// Some columns.
    Pick(Vec<usize>),
    /// The rows for which the condition is true.
    Filter(Formula),
    /// Computed columns.
    Project(Vec<Formula>, SchemaRef),
    /// An order, and how many of the first rows.
    Sort(Vec<(Formula, SortOptions)>, Option<usize>),
    /// How many rows are skipped, and how many are taken.
    Limit(Option<Formula>, Option<Formula>),
}

/// An expression over the rows of a step, with parameters.
struct Formula {
    expr: Expr,
    schema: DFSchemaRef,
    /// The expression, ready to be evaluated, where it has no parameters.
    ready: Option<Arc<dyn PhysicalExpr>>,
}

impl Formula {
    fn new(expr: &Expr, schema: &DFSchemaRef) -> Result<Formula> {
        let ready = if has_parameter(expr) { None } else { Some(physical(expr, schema)?) };
        Ok(Formula { expr: expr.clone(), schema: schema.clone(), ready })
    }

    /// The expression with the values of its parameters.
    fn with(&self, values: &[ScalarValue]) -> Result<Arc<dyn PhysicalExpr>> {
        match &self.ready {
            Some(ready) => Ok(ready.clone()),
            None => physical(&with_values(self.expr.clone(), values)?, &self.schema),
        }
    }
}

impl Lookup {
    /// The plan in words, a line for each step; the lookup itself is the last.
    pub fn explain(&self) -> &[String] {
        &self.explained
    }
}
