//! Subqueries as joins, where the batch engine's optimiser makes none of them or wrong ones.
//!
//! What it does rightly is left to it: EXISTS, IN and NOT IN as conditions of a WHERE or HAVING, and aggregates over the
//! rows that equal the outer one in some columns. The others become joins here, before any optimisation, so that views
//! and batch queries mean the same:
//!
//! | subquery | becomes |
//! |---|---|
//! | scalar | left join with its one row for the outer values; more rows are an error |
//! | EXISTS beside a SELECT, aggregate, order ... | mark join |
//! | IN as a value | CASE over EXISTS: true, NULL or false |
//! | NOT IN that names outer columns | NOT EXISTS of an equal value, of a NULL, and of any row where the value is NULL |
//! | ANY, ALL | CASE over EXISTS, likewise |
//! | any in ON of an outer join | as above, joined to the side whose columns it names; to pairs where it names both |
//! | LATERAL with LIMIT, aggregates, windows ... | join by the outer values |
//! | LATERAL over the elements of a list | a row of the left side for each of them |
//!
//! A subquery that names outer columns is first made one for all their values: see `domain.rs`.

mod domain;
mod joins;
mod lateral;
mod names;
mod on;
mod outer;
mod predicate;
mod sets;
mod shape;
mod spread;

use std::cell::Cell;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, Sort, Subquery, lit, not};

use self::domain::{Carried, Domain, equal, rows_types};
pub use self::lateral::lateral;
use self::names::Names;
pub use self::outer::outer_columns;
use self::outer::{has_subquery, subquery_of};
use self::shape::{Asked, any_row, as_join, as_plain, has_a_row, has_one_row, is_plain_total};
use crate::sql::own_node::{Own, OwnNode};

/// Rewrites a plan as the module's text says. Applied to the plan as it is written.
///
/// # Errors
/// When a subquery names outer columns where that cannot be done.
pub fn decorrelate(plan: LogicalPlan) -> Result<LogicalPlan> {
    Rewrite { names: Names::default(), depth: Cell::default() }.plan(plan)
}

struct Rewrite {
    names: Names,
    /// How many subqueries of expressions are around.
    depth: Cell<usize>,
}

/// Where in a plan an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is a condition, or one of several that are joined by AND.
    Condition,
    /// In the list of a SELECT, or part of a condition.
    Within,
    /// Anywhere else.
    Elsewhere,
}

/// The input of a node, joined with what the subqueries of the node need.
struct Input {
    /// The input as it was: no join takes a row from it or adds one.
    before: LogicalPlan,
    plan: LogicalPlan,
    /// The subqueries that were asked for a row, and the columns that tell.
    marks: Vec<(LogicalPlan, Expr)>,
}

impl Input {
    fn new(plan: LogicalPlan) -> Self {
        Input { before: plan.clone(), plan, marks: Vec::new() }
    }

    /// The plan that has all the outer columns of a subquery, with as few joins in it as can be: it is copied into the
    /// subquery's own plan, and would double there with each subquery beside it.
    fn with_columns(&self, columns: &[Column]) -> &LogicalPlan {
        let has = |column: &&Column| self.plan.schema().has_column(column);
        let enough = columns.iter().filter(has).all(|column| self.before.schema().has_column(column));
        if enough { &self.before } else { &self.plan }
    }

    fn join(&mut self, right: LogicalPlan, kind: JoinType, condition: Vec<Expr>) -> Result<()> {
        self.plan = LogicalPlanBuilder::from(self.plan.clone()).join_on(right, kind, condition)?.build()?;
        Ok(())
    }
}

impl Rewrite {
    fn plan(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        Ok(plan.transform_up(|node| Ok(Transformed::yes(self.one(node)?)))?.data)
    }

    /// One node, over inputs that have been rewritten.
    fn one(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        match plan {
            LogicalPlan::Join(join) if lateral(&join.right).is_some() || self.sees_left(&join)? => self.lateral(join),
            plan if !plan.expressions().iter().any(has_subquery) => Ok(plan),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Projection(_) => self.node(plan, Place::Within),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => self.node(plan, Place::Elsewhere),
            other => Ok(other),
        }
    }

    /// A subquery in ORDER BY may name columns that the SELECT does not list.
    fn sort(&self, mut sort: Sort) -> Result<LogicalPlan> {
        let columns = sort.input.schema().columns();
        if let LogicalPlan::Projection(projection) = sort.input.as_ref() {
            let mut exprs = projection.expr.clone();
            for subquery in sort.expr.iter().filter_map(|key| subquery_of(&key.expr)) {
                for column in outer_columns(&subquery.subquery)? {
                    let named = Expr::Column(column.clone());
                    let listed = columns.contains(&column) || exprs.contains(&named);
                    if !listed && projection.input.schema().has_column(&column) {
                        exprs.push(named);
                    }
                }
            }
            if exprs.len() > projection.expr.len() {
                let input = LogicalPlanBuilder::from(projection.input.as_ref().clone());
                sort.input = input.project(exprs)?.build()?.into();
            }
        }
        only(self.node(LogicalPlan::Sort(sort), Place::Elsewhere)?, columns)
    }

    /// The subquery with those within it rewritten.
    fn within(&self, subquery: Subquery) -> Result<Subquery> {
        self.depth.set(self.depth.get() + 1);
        let plan = self.plan(Arc::unwrap_or_clone(subquery.subquery));
        self.depth.set(self.depth.get() - 1);
        let plan = plan?;
        // The batch engine also lists what a lateral join within binds.
        let outer = outer_columns(&plan)?;
        let is_outer = |expr: &Expr| !matches!(expr, Expr::OuterReferenceColumn(_, column) if !outer.contains(column));
        let outer_ref_columns = subquery.outer_ref_columns.into_iter().filter(is_outer).collect();
        Ok(Subquery { subquery: plan.into(), outer_ref_columns, ..subquery })
    }

    fn filter(&self, filter: Filter) -> Result<LogicalPlan> {
        let columns = filter.input.schema().columns();
        let mut input = Input::new(Arc::unwrap_or_clone(filter.input));
        let mut conditions = Vec::new();
        for condition in split_conjunction_owned(filter.predicate) {
            for condition in predicate::as_conditions(condition, input.plan.schema())? {
                conditions.push(self.expr(condition, &mut input, Place::Condition)?);
            }
        }
        let condition = conjunction(conditions).expect("a filter has a condition");
        only(LogicalPlanBuilder::from(input.plan).filter(condition)?.build()?, columns)
    }

    /// A node with one input that takes what its subqueries give from there.
    fn node(&self, plan: LogicalPlan, place: Place) -> Result<LogicalPlan> {
        let passes_on = matches!(plan, LogicalPlan::Sort(_) | LogicalPlan::Window(_));
        let columns = plan.schema().columns();
        let mut input = Input::new(plan.inputs()[0].clone());
        let exprs = plan.expressions().into_iter().map(|expr| {
            let name = (!matches!(plan, LogicalPlan::Sort(_))).then(|| expr.schema_name().to_string());
            let rewritten = self.expr(expr, &mut input, place)?;
            Ok(match name {
                Some(name) if rewritten.schema_name().to_string() != name => rewritten.alias(name),
                _ => rewritten,
            })
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        let plan = plan.with_new_exprs(exprs, vec![input.plan])?;
        if passes_on { only(plan, columns) } else { Ok(plan) }
    }

    /// The expression with columns of `input` in the place of subqueries; `input` is joined with what they need.
    fn expr(&self, expr: Expr, input: &mut Input, place: Place) -> Result<Expr> {
        // A condition that is a subquery is a semi or anti join for the batch engine.
        match (place, expr) {
            (Place::Condition, Expr::InSubquery(within)) if predicate::is_joined_rightly(&within)? => {
                let subquery = self.within(within.subquery)?;
                Ok(Expr::InSubquery(InSubquery { subquery, ..within }))
            }
            (Place::Condition, Expr::Exists(mut exists)) => match as_plain(&exists.subquery.subquery)? {
                Some(plan) => {
                    exists.subquery.subquery = plan.into();
                    let subquery = self.within(exists.subquery)?;
                    Ok(Expr::Exists(Exists { subquery, ..exists }))
                }
                None => self.values(Expr::Exists(exists), input, Place::Within),
            },
            (Place::Condition, expr) => self.values(expr, input, Place::Within),
            (place, expr) => self.values(expr, input, place),
        }
    }

    /// The expression with its subqueries as values.
    fn values(&self, expr: Expr, input: &mut Input, place: Place) -> Result<Expr> {
        Ok(expr.transform_down(|e| self.value(e, input, place))?.data)
    }

    /// A scalar subquery, with a name of its own for its column where the batch engine would take that for another.
    fn named_apart(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if is_plain_total(&plan)? {
            return Ok(plan);
        }
        match plan {
            LogicalPlan::Projection(projection) if is_plain_total(&projection.input)? => {
                let exprs = projection.expr.into_iter().map(|expr| expr.alias(self.names.next("value")));
                LogicalPlanBuilder::from(Arc::unwrap_or_clone(projection.input)).project(exprs)?.build()
            }
            plan => Ok(plan),
        }
    }

    /// A subquery as a value.
    fn value(&self, expr: Expr, input: &mut Input, place: Place) -> Result<Transformed<Expr>> {
        match expr {
            Expr::SetComparison(set) => Ok(Transformed::yes(predicate::compares(set, input.plan.schema())?)),
            Expr::InSubquery(within) => Ok(Transformed::yes(predicate::is_in(within, input.plan.schema())?)),
            Expr::Exists(Exists { subquery, negated }) => {
                let mark = self.mark(self.within(subquery)?, input)?;
                let value = if negated { not(mark) } else { mark };
                Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
            }
            Expr::ScalarSubquery(subquery) => {
                let value = self.scalar(self.within(subquery)?, input, place)?;
                Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        }
    }

    /// A column that tells whether a subquery has a row, added to `input` by a mark join.
    fn mark(&self, subquery: Subquery, input: &mut Input) -> Result<Expr> {
        let plan = subquery.subquery.as_ref().clone();
        if let Some((_, mark)) = input.marks.iter().find(|(asked, _)| *asked == plan) {
            return Ok(mark.clone());
        }
        let alias = self.names.next("mark");
        let asked = match as_join(&plan, &alias, input.plan.schema())? {
            Some(asked) => asked,
            None => match self.carried(&plan, input.with_columns(&outer_columns(&plan)?))? {
                Some((carried, outer, types)) => {
                    let keys = carried.keys.iter().enumerate();
                    let keys = keys.map(|(at, key)| Expr::Column(key.clone()).alias(format!("key {at}")));
                    let right = LogicalPlanBuilder::from(carried.plan).project(keys)?.alias(alias.as_str())?.build()?;
                    let condition = equal(&types, &outer, &right.schema().columns());
                    Asked { right, condition, keyed: true }
                }
                // It names no column of the input; one of a query further out is for that to bind.
                None => Asked { right: any_row(plan.clone(), &alias)?, condition: Vec::new(), keyed: false },
            },
        };
        let kind = if asked.keyed { JoinType::LeftMark } else { JoinType::Left };
        let condition = if asked.condition.is_empty() { vec![lit(true)] } else { asked.condition };
        input.join(asked.right, kind, condition)?;
        let column = |name| Expr::Column(Column::new(Some(alias), name));
        let mark = if asked.keyed { column("mark") } else { column("row").is_not_null() };
        input.marks.push((plan, mark.clone()));
        Ok(mark)
    }

    /// The value of a scalar subquery, added to `input` by a left join where the batch engine does not do that itself.
    fn scalar(&self, subquery: Subquery, input: &mut Input, place: Place) -> Result<Expr> {
        let plan = subquery.subquery.as_ref().clone();
        let is_joined_rightly = place != Place::Elsewhere;
        if is_joined_rightly && !outer_columns(&plan)?.is_empty() {
            let plan = self.named_apart(plan.clone())?;
            if is_plain_total(&plan)? {
                return Ok(Expr::ScalarSubquery(Subquery { subquery: plan.into(), ..subquery }));
            }
        }
        let alias = self.names.next("scalar");
        let value = Expr::Column(plan.schema().columns().swap_remove(0));
        let (right, condition) = match self.carried(&plan, input.with_columns(&outer_columns(&plan)?))? {
            None => {
                // Without a row it is NULL, whatever its column says, or comes to say once constants are folded.
                let single = match has_a_row(&plan) && has_one_row(&plan) {
                    true => plan,
                    false => OwnNode::plan(Own::Single { keys: 0 }, vec![plan]),
                };
                if is_joined_rightly {
                    // The batch engine looks for the value in the list of a projection.
                    let single = LogicalPlanBuilder::from(single).project([value])?.build()?;
                    return Ok(Expr::ScalarSubquery(Subquery { subquery: single.into(), ..subquery }));
                }
                let right = LogicalPlanBuilder::from(single).project([value.alias("value")])?;
                (right.alias(alias.as_str())?.build()?, vec![lit(true)])
            }
            Some((carried, outer, types)) => {
                let keys = carried.keys.iter().map(|key| Expr::Column(key.clone()));
                let keys = keys.enumerate().map(|(at, key)| {
                    let name = outer[at].name.clone();
                    let again = outer[..at].iter().any(|o| o.name == name) || name == "value";
                    key.alias(if again { format!("{name} {at}") } else { name })
                });
                let all = keys.chain([value.alias("value")]);
                let rows = LogicalPlanBuilder::from(carried.plan).project(all)?.build()?;
                let rows = OwnNode::plan(Own::Single { keys: outer.len() }, vec![rows]);
                let right = LogicalPlanBuilder::from(rows).alias(alias.as_str())?.build()?;
                let keys = &right.schema().columns()[..outer.len()];
                let condition = equal(&types, &outer, keys);
                (right, condition)
            }
        };
        input.join(right, JoinType::Left, condition)?;
        Ok(Expr::Column(Column::new(Some(alias), "value")))
    }

    /// A subquery for all values of the columns of `input` that it names, with those columns and their types; nothing
    /// where it names none.
    fn carried(&self, plan: &LogicalPlan, input: &LogicalPlan) -> Result<Option<ForAll>> {
        let outer: Vec<Column> =
            outer_columns(plan)?.into_iter().filter(|column| input.schema().has_column(column)).collect();
        if outer.is_empty() {
            return Ok(None);
        }
        // Without a qualifier, as they are at times, they must not be taken for others.
        let columns = outer.iter().map(|column| Expr::Column(column.clone()).alias(self.names.next(&column.name)));
        let rows = LogicalPlanBuilder::from(input.clone()).project(columns)?.distinct()?.build()?;
        let types = rows_types(&rows);
        let domain = Domain { outer: outer.clone(), rows, names: &self.names };
        let Carried { plan, keys } = domain.carry(plan.clone())?;
        // A subquery within it may now name the domain's columns.
        Ok(Some((Carried { plan: self.plan(plan)?, keys }, outer, types)))
    }
}

/// A subquery for all outer values, the outer columns, and their types.
type ForAll = (Carried, Vec<Column>, Vec<DataType>);

/// A plan with these columns alone.
fn only(plan: LogicalPlan, columns: Vec<Column>) -> Result<LogicalPlan> {
    if plan.schema().columns() == columns {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(columns.into_iter().map(Expr::Column))?.build()
}
