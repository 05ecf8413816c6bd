//! What conditions and measures take from the rows of a match, each put in the words of a column.
//!
//! ```text
//! DEFINE     price               a column of the current row, and stays
//! MEASURES   price               LAST(price): of the last row
//! both       a.price             LAST(a.price)
//!            FIRST(a.price, 2)   PREV(a.price, 2)   NEXT(FIRST(a.price), 1)   sum(a.price)   count(*)   CLASSIFIER()
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::TableReference;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr as Logical, ExprSchemable};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Spanned, Value, VisitMut, VisitorMut,
};

use super::columns::Columns;
use super::pattern::Variables;
use super::row_names::{RowNames, is_wrapper};
use super::{place_of, plain, unknown};
use crate::error::{Error, Result};
use crate::operators::match_recognize::spec::{Arg, Item, Variable};
use crate::sql::parse::match_recognize::{FINAL, ROW, RUNNING};
use crate::sql::parse::normalize;

/// Aggregates that take the rows of a match in their order.
const AGGREGATES: [&str; 9] = ["count", "sum", "avg", "min", "max", "array_agg", "string_agg", "bool_and", "bool_or"];

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) enum Clause {
    /// In the condition of a symbol.
    Define,
    /// Among the measures.
    Measures,
}

/// Takes items out of expressions.
pub(super) struct Calls<'a> {
    columns: &'a mut Columns,
    variables: &'a Variables,
    context: &'a mut dyn RelationPlannerContext,
    clause: Clause,
}

impl<'a> Calls<'a> {
    pub fn new(
        columns: &'a mut Columns,
        variables: &'a Variables,
        context: &'a mut dyn RelationPlannerContext,
        clause: Clause,
    ) -> Self {
        Calls { columns, variables, context, clause }
    }

    /// Puts columns in the places of items.
    pub fn take_out(&mut self, expr: &mut Expr) -> Result<()> {
        match VisitMut::visit(expr, self) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(*error),
        }
    }

    fn clause_name(&self) -> &'static str {
        match self.clause {
            Clause::Define => "DEFINE",
            Clause::Measures => "MEASURES",
        }
    }

    fn replaced(&mut self, expr: &Expr) -> Result<Option<Expr>> {
        let text = shown(expr);
        let name = match expr {
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                return Err(Error::unsupported(format!("a subquery in {}", self.clause_name()))
                    .with_hint("a join with the table before the MATCH_RECOGNIZE can bring the value"));
            }
            Expr::Identifier(_) if matches!(self.clause, Clause::Define) => return Ok(None),
            Expr::Identifier(_) => return self.at(expr, text).map(Some),
            Expr::CompoundIdentifier(parts) => {
                let of_variable = self.variables.find(&normalize(&parts[0])).is_some();
                return match (of_variable, self.clause) {
                    (false, Clause::Define) => self.known(parts).map(|()| None),
                    _ => self.at(expr, text).map(Some),
                };
            }
            Expr::Function(function) => match function.name.0.as_slice() {
                [part] => part.as_ident().map(normalize).unwrap_or_default(),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Expr::Function(function) = expr else { return Ok(None) };
        if name == FINAL || name == RUNNING {
            let whole = name == FINAL;
            if whole && let Clause::Define = self.clause {
                return Err(Error::input(
                    "DEFINE has FINAL, but while a match is looked for its last row is not known",
                ));
            }
            let args = arguments(function)?;
            let [FunctionArgExpr::Expr(Expr::Function(call))] = args.as_slice() else { return Ok(None) };
            let text = format!("{} {}", if whole { "FINAL" } else { "RUNNING" }, shown(call));
            let replaced = self.call(call, whole, text.clone())?;
            let wrong = || Error::input(format!("`{text}`: only FIRST, LAST and aggregates are running or final"));
            return replaced.ok_or_else(wrong).map(Some);
        }
        self.call(function, false, text)
    }

    /// What a call is taken out as, if it is one of ours.
    fn call(&mut self, function: &Function, whole: bool, text: String) -> Result<Option<Expr>> {
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(normalize).unwrap_or_default();
        let in_place = |error: Error| error.with_place(place_of(function.name.span().start));
        if function.over.is_some() {
            let error = format!("the window function `{name}` in {}", self.clause_name());
            return Err(in_place(Error::unsupported(error)));
        }
        match name.as_str() {
            "first" | "last" | "prev" | "next" => {
                let item = self.navigated(function, whole).map_err(in_place)?;
                let data_type = self.columns.data_type(column_of(&item))?;
                Ok(Some(self.columns.item(text, item, data_type)))
            }
            "classifier" | "match_number" => {
                if !arguments(function)?.is_empty() {
                    return Err(in_place(Error::unsupported(format!("`{name}` with an argument"))));
                }
                if name == "classifier" {
                    return Ok(Some(self.columns.item(text, Item::Classifier, DataType::Utf8)));
                }
                if let Clause::Define = self.clause {
                    let error = Error::unsupported("MATCH_NUMBER() in DEFINE");
                    return Err(in_place(error.with_hint("whether rows match cannot depend on what matched before")));
                }
                Ok(Some(self.columns.item(text, Item::Number, DataType::Int64)))
            }
            _ => match self.context.context_provider().get_aggregate_meta(&name) {
                Some(aggregate) => {
                    if !AGGREGATES.contains(&aggregate.name()) {
                        let error = Error::unsupported(format!("the aggregate `{name}` in {}", self.clause_name()));
                        return Err(in_place(error.with_hint(format!("there are {}", AGGREGATES.join(", ")))));
                    }
                    self.total(function, whole, text).map(Some).map_err(in_place)
                }
                None => Ok(None),
            },
        }
    }

    /// A column by itself, which is that of the current row, or of the last one of its variable so far.
    fn at(&mut self, expr: &Expr, text: String) -> Result<Expr> {
        let (of, column) = self.row_value(expr)?;
        let item = Item::At { of, first: false, skip: 0, shift: 0, column, whole: false };
        let data_type = self.columns.data_type(column)?;
        Ok(self.columns.item(text, item, data_type))
    }

    /// FIRST, LAST, PREV, NEXT.
    fn navigated(&mut self, function: &Function, whole: bool) -> Result<Item> {
        let name = function.name.to_string().to_lowercase();
        let args = arguments(function)?;
        let (expr, by) = match args.as_slice() {
            [FunctionArgExpr::Expr(expr)] => (expr, None),
            [FunctionArgExpr::Expr(expr), FunctionArgExpr::Expr(by)] => (expr, Some(number(by, &name)?)),
            _ => return Err(Error::input(format!("`{name}` takes an expression and a number of rows"))),
        };
        if name == "first" || name == "last" {
            let (of, column) = self.row_value(expr)?;
            let skip = by.unwrap_or(0) as usize;
            return Ok(Item::At { of, first: name == "first", skip, shift: 0, column, whole });
        }
        let by = i64::from(by.unwrap_or(1));
        let by = if name == "prev" { -by } else { by };
        let inner = match expr {
            Expr::Function(call) => match call.name.to_string().to_lowercase().as_str() {
                "first" | "last" => Some(self.navigated(call, whole)?),
                wrapped if is_wrapper(wrapped) => {
                    return Err(Error::unsupported(format!("FINAL or RUNNING within `{name}`")));
                }
                _ => None,
            },
            _ => None,
        };
        match inner {
            Some(Item::At { of, first, skip, column, whole, .. }) => {
                Ok(Item::At { of, first, skip, shift: by, column, whole })
            }
            _ => {
                let (of, column) = self.row_value(expr)?;
                Ok(Item::At { of, first: false, skip: 0, shift: by, column, whole })
            }
        }
    }

    fn total(&mut self, function: &Function, whole: bool, text: String) -> Result<Expr> {
        let mut call = function.clone();
        let name = function.name.to_string();
        let FunctionArguments::List(list) = &mut call.args else {
            return Err(Error::unsupported(format!("`{function}` in {}", self.clause_name())));
        };
        let plain_call = list.duplicate_treatment.is_none()
            && list.clauses.is_empty()
            && call.filter.is_none()
            && call.null_treatment.is_none()
            && call.within_group.is_empty();
        if !plain_call {
            let error = Error::unsupported(format!("`{function}` in {}", self.clause_name()));
            return Err(error.with_hint("aggregates here take no DISTINCT, ORDER BY or FILTER; CASE leaves rows out"));
        }
        let mut of = None;
        for arg in &mut list.args {
            let FunctionArg::Unnamed(arg) = arg else {
                return Err(Error::unsupported(format!("`{function}`: arguments with names")));
            };
            let whole_row = match &arg {
                FunctionArgExpr::Wildcard => true,
                FunctionArgExpr::Expr(Expr::CompoundIdentifier(parts)) => parts[1].value == ROW,
                _ => false,
            };
            if whole_row && !name.eq_ignore_ascii_case("count") {
                return Err(Error::input(format!("`{text}`: only count takes whole rows")));
            }
            let one = || FunctionArgExpr::Expr(Expr::value(Value::Number("1".into(), false)));
            match arg {
                FunctionArgExpr::Wildcard => *arg = one(),
                FunctionArgExpr::Expr(Expr::CompoundIdentifier(parts)) if parts[1].value == ROW => {
                    of = Some(Variable::One(self.variables.variable(&parts[0], self.clause_name())?));
                    *arg = one();
                }
                FunctionArgExpr::Expr(expr) => {
                    let mut rows = RowNames { variables: self.variables, of, clause: self.clause_name() };
                    rows.take_off(expr)?;
                    of = rows.of;
                }
                _ => return Err(Error::unsupported(format!("`{function}` in {}", self.clause_name()))),
            }
        }
        let schema = self.columns.schema().clone();
        let planned = plain(self.context.sql_to_expr(Expr::Function(call), &schema)?)?;
        let options = Arc::new(ConfigOptions::default());
        let context = SimplifyContext::builder().with_schema(schema.clone()).with_config_options(options).build();
        let planned = ExprSimplifier::new(context).coerce(planned, &schema)?.unalias();
        let Logical::AggregateFunction(aggregate) = &planned else {
            return Err(Error::Internal(format!("`{function}` is no aggregate")));
        };
        let params = &aggregate.params;
        if params.distinct || params.filter.is_some() || !params.order_by.is_empty() {
            return Err(Error::unsupported(format!("`{function}` in {}", self.clause_name())));
        }
        let name = aggregate.func.name();
        if let ("min" | "max", [arg]) = (name, params.args.as_slice()) {
            let of = arg.get_type(schema.as_ref())?;
            if of.is_nested() || matches!(of, DataType::Interval(_)) {
                let of = crate::error::sql_types(&of.to_string());
                return Err(Error::unsupported(format!("`{name}` of {of} in {}", self.clause_name())));
            }
        }
        let args = params.args.iter().map(|arg| match arg {
            Logical::Literal(value, _) => Arg::Value(value.clone()),
            arg => Arg::Column(self.columns.place(arg.clone())),
        });
        let (args, function) = (args.collect(), aggregate.func.clone());
        let data_type = planned.get_type(schema.as_ref())?;
        let item = Item::Total { of: of.unwrap_or(Variable::All), function, args, whole };
        Ok(self.columns.item(text, item, data_type))
    }

    /// An expression over the columns of one row, as a column, and of which variable the row is.
    fn row_value(&mut self, expr: &Expr) -> Result<(Variable, usize)> {
        let mut expr = expr.clone();
        let mut rows = RowNames { variables: self.variables, of: None, clause: self.clause_name() };
        rows.take_off(&mut expr)?;
        let of = rows.of.unwrap_or(Variable::All);
        let planned = plain(self.context.sql_to_expr(expr, self.columns.schema())?)?;
        Ok((of, self.columns.place(planned)))
    }

    /// Fails where the first part of a name is neither a variable nor of the table.
    fn known(&self, parts: &[Ident]) -> Result<()> {
        let first = normalize(&parts[0]);
        let of_table = |qualifier: &TableReference| qualifier.table() == first || qualifier.schema() == Some(&first);
        let mut columns = self.columns.schema().iter();
        if columns.any(|(qualifier, field)| field.name() == &first || qualifier.is_some_and(of_table)) {
            return Ok(());
        }
        Err(unknown(&parts[0], self.clause_name(), self.variables.all()))
    }
}

impl VisitorMut for Calls<'_> {
    type Break = Box<Error>;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        match self.replaced(expr) {
            Ok(Some(replaced)) => *expr = replaced,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(Box::new(error.with_place(place_of(expr.span().start)))),
        }
        ControlFlow::Continue(())
    }
}

/// An expression as it is written.
fn shown(expr: &impl std::fmt::Display) -> String {
    expr.to_string().replace(&format!("\"{ROW}\""), "*")
}

fn column_of(item: &Item) -> usize {
    match item {
        Item::At { column, .. } => *column,
        _ => 0,
    }
}

fn arguments(function: &Function) -> Result<Vec<FunctionArgExpr>> {
    let FunctionArguments::List(list) = &function.args else { return Ok(Vec::new()) };
    let args = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(arg) => Ok(arg.clone()),
        _ => Err(Error::unsupported(format!("`{}`: arguments with names", function.name))),
    });
    args.collect()
}

/// A number of rows.
fn number(expr: &Expr, of: &str) -> Result<u32> {
    let number = match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    number.ok_or_else(|| Error::input(format!("`{of}` takes a number of rows that is written out, not {expr}")))
}
