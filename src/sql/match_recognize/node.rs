//! The node of a plan.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef, internal_err};
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::columns::Columns;
use crate::circuit::time::show_length;
use crate::error::{Error, Result};
use crate::operators::match_recognize::spec::{Item, OverItems, Shape, Shown, Skip, Spec, Variable};
use crate::operators::ordered::Order;
use crate::operators::row_codec::SortKey;
use crate::sql::expr::{identity, physical};

/// Rows that match a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MatchNode {
    known: Arc<Known>,
    /// Conditions, then measures.
    exprs: Vec<Expr>,
    input: LogicalPlan,
    schema: DFSchemaRef,
}

/// What the node is beside its expressions, by the places of columns.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Known {
    shape: Shape,
    partition: Vec<usize>,
    /// Columns, whether descending, whether NULLs come first.
    order: Vec<(usize, bool, bool)>,
    /// The symbol whose condition an expression is; a measure is of none.
    symbols: Vec<Option<usize>>,
    measures: Vec<String>,
    /// Columns of the input that hold something. Those behind stand for items.
    stored: usize,
    items: Vec<Item>,
}

impl MatchNode {
    /// A plan of the node over some columns. Rows are ordered by keys, and rows that tie by everything else.
    ///
    /// # Errors
    /// For two columns of one name.
    pub(super) fn plan(
        shape: Shape,
        columns: Columns,
        (partition, order): (Vec<usize>, Vec<SortKey>),
        exprs: Vec<(Option<usize>, Expr)>,
        measures: Vec<String>,
    ) -> Result<LogicalPlan> {
        let order = order.iter().map(|key| (key.column, key.descending, key.nulls_first)).collect();
        let (symbols, exprs) = exprs.into_iter().unzip();
        let (stored, items) = (columns.stored(), columns.items());
        let known = Known { shape, partition, order, symbols, measures, stored, items };
        let node = MatchNode::new(Arc::new(known), exprs, columns.plan()?)?;
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    fn new(known: Arc<Known>, exprs: Vec<Expr>, input: LogicalPlan) -> Result<MatchNode> {
        let below = input.schema();
        let measures = exprs.len() - known.measures.len();
        let fields = known.shape.shown.iter().map(|shown| match shown {
            Shown::Column(column) => Ok(below.field(*column).as_ref().clone().with_nullable(true)),
            Shown::Measure(at) => {
                let data_type = exprs[measures + at].get_type(below.as_ref())?;
                Ok(Field::new(&known.measures[*at], data_type, true))
            }
        });
        let fields = fields.collect::<Result<Vec<Field>>>()?;
        for (at, field) in fields.iter().enumerate() {
            if fields[..at].iter().any(|other| other.name() == field.name()) {
                let error = Error::input(format!("MATCH_RECOGNIZE shows two columns `{}`", field.name()));
                return Err(error.with_hint("give the measure another name with AS"));
            }
        }
        let fields = fields.into_iter().map(|field| (None, Arc::new(field))).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(MatchNode { known, exprs, input, schema })
    }

    /// The node of a plan, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&MatchNode> {
        let LogicalPlan::Extension(extension) = plan else { return None };
        extension.node.as_any().downcast_ref()
    }

    /// The rows below it.
    pub fn input(&self) -> &LogicalPlan {
        &self.input
    }

    /// The columns that it shows.
    pub fn output(&self) -> SchemaRef {
        self.schema.inner().clone()
    }

    /// How many columns of the input hold something: the first ones.
    pub fn stored(&self) -> usize {
        self.known.stored
    }

    /// The order of the rows.
    pub fn order(&self) -> Order {
        let key = |(column, descending, nulls_first): &(usize, bool, bool)| SortKey {
            column: *column,
            descending: *descending,
            nulls_first: *nulls_first,
        };
        let keys = self.known.order.iter().map(key).collect();
        Order { partition: self.known.partition.clone(), keys, ties: Vec::new(), closing: None }
    }

    /// The column of event time and the nanoseconds of WITHIN.
    pub fn within(&self) -> Option<(usize, i64)> {
        self.known.shape.within
    }

    /// The node ready to be run over rows of `stored`, which are the first columns of the input.
    ///
    /// # Errors
    /// When an expression cannot be evaluated, or the pattern is too long.
    pub fn spec(&self, stored: &SchemaRef, output: SchemaRef) -> Result<Spec> {
        let mut conditions: Vec<Option<OverItems>> = self.known.shape.symbols.iter().map(|_| None).collect();
        let mut measures = Vec::new();
        for (expr, symbol) in self.exprs.iter().zip(&self.known.symbols) {
            let over = self.over_items(expr, stored)?;
            match symbol {
                Some(symbol) => conditions[*symbol] = Some(over),
                None => measures.push(over),
            }
        }
        Spec::new(self.known.shape.clone(), conditions, measures, stored, output)
    }

    /// A text that tells everything about the node over the columns of its input.
    ///
    /// # Errors
    /// When an expression cannot be evaluated.
    pub fn identity(&self) -> Result<String> {
        let schema = self.input.schema();
        let exprs = self.exprs.iter().map(|expr| physical(expr, schema)).collect::<Result<Vec<_>>>()?;
        Ok(format!("{:?} {}", self.known, identity(&exprs)?))
    }

    fn over_items(&self, expr: &Expr, stored: &SchemaRef) -> Result<OverItems> {
        let schema = self.input.schema();
        let (mut places, mut items, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        let expr = physical(expr, schema)?.transform_up(|e| {
            let Some(column) = e.downcast_ref::<Column>() else { return Ok(Transformed::no(e)) };
            let place = column.index();
            let at = places.iter().position(|known| *known == place).unwrap_or_else(|| {
                places.push(place);
                places.len() - 1
            });
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), at)) as Arc<dyn PhysicalExpr>))
        })?;
        for place in places {
            let current =
                |column| Item::At { of: Variable::All, first: false, skip: 0, shift: 0, column, whole: false };
            let item = place.checked_sub(self.known.stored).map(|at| self.known.items[at].clone());
            let item = item.unwrap_or_else(|| current(place));
            let of = schema.field(place);
            let data_type = match &item {
                Item::At { column, .. } => stored.field(*column).data_type(),
                _ => of.data_type(),
            };
            if data_type != of.data_type() {
                return Err(Error::Internal(format!("`{}` is {data_type}, not {}", of.name(), of.data_type())));
            }
            fields.push(Field::new(of.name(), data_type.clone(), true));
            items.push(item);
        }
        Ok(OverItems { expr: expr.data, items, fields })
    }
}

impl fmt::Display for MatchNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Known { shape, partition, order, .. } = self.known.as_ref();
        let schema = self.input.schema();
        let names = |columns: &[usize]| {
            columns.iter().map(|column| schema.field(*column).name().as_str()).collect::<Vec<_>>().join(", ")
        };
        write!(f, "({})", shape.pattern.show(&shape.symbols))?;
        if let Some((_, nanoseconds)) = shape.within {
            write!(f, " within {}", show_length(nanoseconds / 1_000))?;
        }
        if !partition.is_empty() {
            write!(f, " partitioned by {}", names(partition))?;
        }
        write!(f, " ordered by {}", names(&order.iter().map(|key| key.0).collect::<Vec<_>>()))?;
        match shape.skip {
            Skip::PastLast => Ok(()),
            Skip::ToNext => write!(f, ", then from the next row"),
            Skip::ToFirst(_) | Skip::ToLast(_) => write!(f, ", then from a row of the match"),
        }
    }
}

impl PartialOrd for MatchNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.exprs, &self.input).partial_cmp(&(&other.exprs, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for MatchNode {
    fn name(&self) -> &str {
        "MatchRecognize"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.exprs.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Known { shape, symbols, measures, .. } = self.known.as_ref();
        write!(f, "MatchRecognize: {self}")?;
        for (expr, symbol) in self.exprs.iter().zip(symbols) {
            if let Some(symbol) = symbol {
                write!(f, ", {}: {}", shape.symbols[*symbol], expr.clone().unalias())?;
            }
        }
        for (expr, name) in self.exprs[self.exprs.len() - measures.len()..].iter().zip(measures) {
            write!(f, ", {name}: {}", expr.clone().unalias())?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> datafusion::error::Result<Self> {
        let (Some(input), true) = (inputs.pop(), inputs.is_empty() && exprs.len() == self.exprs.len()) else {
            return internal_err!("MATCH_RECOGNIZE has one input");
        };
        Ok(MatchNode::new(self.known.clone(), exprs, input)?)
    }
}

/// Columns of a schema, as far as they hold something.
pub(super) fn first_columns(schema: &Schema, count: usize) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().take(count).cloned().collect::<Vec<_>>()))
}
