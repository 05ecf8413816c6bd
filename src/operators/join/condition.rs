//! The condition of a join beyond equal keys, evaluated per pair of rows that have equal keys.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use crate::delta::{Delta, RowError, Weights};
use crate::error::Result;
use crate::operators::eval::evaluate;
use crate::operators::project::batch;

/// A condition over columns of both sides.
pub struct Condition {
    /// Over the columns that it uses, and no others.
    expr: [Arc<dyn PhysicalExpr>; 1],
    /// Where those are: on the right side or not, and at which place.
    columns: Vec<Place>,
    schema: SchemaRef,
}

/// A column of one of the sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whether it is of the right side.
    pub right: bool,
    /// Its place there.
    pub column: usize,
}

impl Condition {
    /// A condition whose column `n` is at `places[n]`.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn new(expr: Arc<dyn PhysicalExpr>, places: &[Place], left: &Schema, right: &Schema) -> Result<Self> {
        let mut columns: Vec<Place> = Vec::new();
        let expr = expr
            .transform_up(|e| {
                let Some(column) = e.downcast_ref::<Column>() else { return Ok(Transformed::no(e)) };
                let place = places[column.index()];
                let at = columns.iter().position(|c| *c == place).unwrap_or_else(|| {
                    columns.push(place);
                    columns.len() - 1
                });
                let moved: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), at));
                Ok(Transformed::yes(moved))
            })?
            .data;
        let field = |place: &Place| {
            let side = if place.right { right } else { left };
            side.field(place.column).clone()
        };
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<Field>>()));
        Ok(Condition { expr: [expr], columns, schema })
    }

    /// The expression.
    pub fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        &self.expr[0]
    }

    /// The columns of the pairs that the condition uses.
    pub fn places(&self) -> &[Place] {
        &self.columns
    }

    /// The pairs for which the condition is true, by their place among `weights`; a pair on which it fails is an error
    /// of the pair's weight. `columns` are those of [`Condition::places`].
    ///
    /// # Errors
    /// When memory or a limit is at its end.
    pub fn holds(&self, columns: Vec<ArrayRef>, weights: Vec<i64>, errors: &mut Vec<RowError>) -> Result<Vec<usize>> {
        let pairs = Delta::new(batch(&self.schema, columns, weights.len())?, Weights::new(weights));
        let evaluated = evaluate(&self.expr, &pairs)?;
        errors.extend(evaluated.errors);
        let result = evaluated.columns[0].as_boolean();
        Ok(match &evaluated.rows {
            None => places_of(result).collect(),
            Some(rows) => places_of(result).map(|at| rows[at] as usize).collect(),
        })
    }
}

/// Where a column is true; NULL is not.
fn places_of(result: &BooleanArray) -> impl Iterator<Item = usize> {
    result.iter().enumerate().filter(|(_, holds)| *holds == Some(true)).map(|(at, _)| at)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr[0].fmt(f)
    }
}
