//! The columns below the node: those of the table, what is computed of them, and what stands for items.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, Ident};

use crate::error::Result;
use crate::operators::match_recognize::spec::Item;

/// What the names of computed columns begin with: as the batch engine's own are, they are not shown in errors.
const COMPUTED: &str = "__common_expr_of_match_";

pub(super) struct Columns {
    input: LogicalPlan,
    schema: DFSchemaRef,
    computed: Vec<Expr>,
    items: Vec<(String, Item, DataType)>,
}

impl Columns {
    pub fn new(input: LogicalPlan) -> Result<Columns> {
        let schema = input.schema().clone();
        Ok(Columns { input, schema, computed: Vec::new(), items: Vec::new() })
    }

    /// The columns of the table.
    pub fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// How many there are.
    pub fn width(&self) -> usize {
        self.schema.fields().len()
    }

    /// The place of an expression among the columns.
    pub fn place(&mut self, expr: Expr) -> usize {
        if let Expr::Column(column) = &expr
            && let Some(at) = self.schema.maybe_index_of_column(column)
        {
            return at;
        }
        let at = self.computed.iter().position(|known| *known == expr).unwrap_or_else(|| {
            self.computed.push(expr);
            self.computed.len() - 1
        });
        self.width() + at
    }

    pub fn data_type(&self, column: usize) -> Result<DataType> {
        match column.checked_sub(self.width()) {
            None => Ok(self.schema.field(column).data_type().clone()),
            Some(computed) => Ok(self.computed[computed].get_type(self.schema.as_ref())?),
        }
    }

    /// A name that stands for an item.
    pub fn item(&mut self, text: String, item: Item, data_type: DataType) -> ast::Expr {
        let known = self.items.iter().find(|(_, known, _)| *known == item);
        let name = known.map(|(name, ..)| name.clone()).unwrap_or_else(|| {
            let mut name = text;
            let is_taken = |name: &str| {
                let mut columns = self.schema.iter();
                columns.any(|(of, field)| {
                    field.name() == name || of.is_some_and(|of| format!("{of}.{}", field.name()) == name)
                })
            };
            while is_taken(&name) || self.items.iter().any(|(known, ..)| *known == name) {
                name.push('\'');
            }
            self.items.push((name.clone(), item, data_type));
            name
        });
        ast::Expr::Identifier(Ident::with_quote('"', name))
    }

    pub fn items(&self) -> Vec<Item> {
        self.items.iter().map(|(_, item, _)| item.clone()).collect()
    }

    /// How many columns there are that hold something.
    pub fn stored(&self) -> usize {
        self.width() + self.computed.len()
    }

    /// The table's columns, and those that stand for items.
    pub fn with_items(&self) -> Result<DFSchema> {
        let items = self.items.iter().map(|(name, _, of)| (None, Arc::new(Field::new(name, of.clone(), true))));
        let fields = self.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.clone()));
        Ok(DFSchema::new_with_metadata(fields.chain(items).collect(), Default::default())?)
    }

    /// All of them.
    pub fn plan(self) -> Result<LogicalPlan> {
        let own: Vec<Expr> = self.schema.iter().map(|of| Expr::Column(Column::from(of))).collect();
        let computed = self.computed.into_iter().enumerate().map(|(at, expr)| expr.alias(format!("{COMPUTED}{at}")));
        let mut exprs: Vec<Expr> = own.into_iter().chain(computed).collect();
        for (name, _, data_type) in self.items {
            exprs.push(Expr::Literal(ScalarValue::try_from(&data_type)?, None).alias(name));
        }
        Ok(LogicalPlanBuilder::from(self.input).project(exprs)?.build()?)
    }
}
