//! Finds out whether a query is a lookup: from its text, roughly and soon; from its plan, for certain.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema};
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, TableScan};
use datafusion::sql::sqlparser::ast;

use super::{Formula, KeyPart, Lookup, Step};
use crate::engine::catalog::{Catalog, Kind, Object};
use crate::engine::core::ask;
use crate::engine::database::Database;
use crate::engine::index::can_be_key;
use crate::engine::names::InputNames;
use crate::engine::request::Request;
use crate::error::Result;
use crate::sql::bind::Binder;
use crate::sql::canonical::comparable;
use crate::sql::context::optimize_for_view;
use crate::sql::expr::{Dependence, dependence};
use crate::sql::lower::InputTable;
use crate::sql::parse::{normalize, object_name};

/// Whether a query looks like one that could be a lookup: a SELECT from one table or view, with a condition that names
/// every column of a key. Says yes too often, but seldom enough that planning it twice does not matter.
pub fn may_be_lookup(database: &Database, catalog: &Catalog, query: &ast::Query) -> bool {
    let Some((object, select)) = plain_select(catalog, query) else { return false };
    let Some(condition) = &select.selection else { return false };
    let mut named = Vec::new();
    let _ = ast::visit_expressions(condition, |expr| {
        match expr {
            ast::Expr::Identifier(name) => named.push(normalize(name)),
            ast::Expr::CompoundIdentifier(parts) => named.extend(parts.last().map(normalize)),
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    let names = |column: &usize| named.contains(object.schema.field(*column).name());
    let covers = |keys: Keys| keys.own.iter().chain(&keys.declared).any(|key| key.iter().all(names));
    keys(database, catalog, &object).is_ok_and(covers)
}

/// The only relation of a query, and its SELECT, where there are no groups and nothing is made distinct.
fn plain_select<'q>(catalog: &Catalog, query: &'q ast::Query) -> Option<(Arc<Object>, &'q ast::Select)> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [ast::TableWithJoins { relation: ast::TableFactor::Table { name, args: None, version: None, .. }, joins }] =
        select.from.as_slice()
    else {
        return None;
    };
    let groups = match &select.group_by {
        ast::GroupByExpr::All(_) => true,
        ast::GroupByExpr::Expressions(exprs, _) => !exprs.is_empty(),
    };
    if !joins.is_empty() || groups || select.having.is_some() || select.distinct.is_some() || query.with.is_some() {
        return None;
    }
    let object = catalog.find(&object_name(name).ok()?)?;
    matches!(object.kind, Kind::Table | Kind::MaterializedView).then(|| (object.clone(), select.as_ref()))
}

/// The sets of columns by which rows of an object can be found.
struct Keys {
    /// The one that tells its rows apart.
    own: Option<Vec<usize>>,
    /// Those of CREATE INDEX.
    declared: Vec<Vec<usize>>,
}

fn keys(database: &Database, catalog: &Catalog, object: &Object) -> Result<Keys> {
    let own = match object.kind {
        Kind::Table => object.facts().key,
        Kind::MaterializedView => ask(&database.inner().engine, |reply| Request::Key(object.id, reply)).wait()?,
        Kind::Stream | Kind::View => None,
    };
    let possible = |key: &Vec<usize>| key.iter().all(|c| can_be_key(object.schema.field(*c).data_type()));
    let declared = catalog.indexes().filter(|index| index.object == object.id).map(|index| index.columns.clone());
    Ok(Keys { own: own.filter(possible), declared: declared.collect() })
}

/// The lookup that a query is, or nothing where it needs the batch engine. `session` knows the types of its parameters.
///
/// # Errors
/// What is wrong with the query.
pub fn recognize(
    database: &Database,
    session: &SessionState,
    catalog: &Catalog,
    query: &ast::Query,
) -> Result<Option<Lookup>> {
    let facts = HashMap::new();
    let names = InputNames::new(session, catalog, &facts);
    let (plan, shown) = Binder::new(session, &names).shown(query)?;
    let plan = optimize_for_view(session, comparable(plan)?)?;
    let Some(path) = path(&plan)? else { return Ok(None) };
    let provider = source_as_provider(&path.scan.source)?;
    let Some(object) = provider.downcast_ref::<InputTable>().and_then(|input| catalog.get(input.object)) else {
        return Ok(None);
    };
    let asked = equalities(&path)?;
    let keys = keys(database, catalog, object)?;
    let given = |key: &Vec<usize>| key.iter().all(|column| asked.contains_key(column));
    // Of several that do not tell rows apart, that of the most columns finds the fewest.
    let declared = || keys.declared.into_iter().filter(given).max_by_key(Vec::len);
    let Some(key) = keys.own.filter(given).or_else(declared) else { return Ok(None) };
    let part = |column: &usize| -> Result<KeyPart> {
        let data_type = object.schema.field(*column).data_type().clone();
        let nothing = Arc::new(DFSchema::empty());
        let values = asked[column].iter().map(|value| Formula::new(value, &nothing)).collect::<Result<_>>()?;
        Ok(KeyPart { column: *column, data_type, values })
    };
    let key = key.iter().map(part).collect::<Result<Vec<_>>>()?;
    let explained = explained(&plan, object, &key);
    let field = |field: &FieldRef| match shown.get(field.name()) {
        Some(name) => Arc::new(field.as_ref().clone().with_name(name)),
        None => field.clone(),
    };
    let schema = Schema::new(plan.schema().fields().iter().map(field).collect::<Vec<_>>());
    Ok(Some(Lookup { object: object.clone(), key, steps: path.steps, schema: Arc::new(schema), explained }))
}

/// The way from a scan to the result of a plan.
struct Path<'p> {
    scan: &'p TableScan,
    steps: Vec<Step>,
    /// The conditions right above the scan.
    conditions: Vec<&'p Expr>,
}

/// The way through a plan of one relation; nothing where the plan is more than that.
fn path(plan: &LogicalPlan) -> Result<Option<Path<'_>>> {
    let each_row = |exprs: &[&Expr]| -> Result<bool> {
        for expr in exprs {
            let has_subquery = expr.exists(|e| {
                Ok(matches!(
                    e,
                    Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
                ))
            })?;
            if has_subquery || !matches!(dependence(expr), Ok(Dependence::Row)) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let (input, exprs): (&LogicalPlan, Vec<&Expr>) = match plan {
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
            // A view that is older than columns of the relation does not see them.
            let all = || (0..scan.source.schema().fields().len()).collect();
            let steps = vec![Step::Pick(scan.projection.clone().unwrap_or_else(all))];
            return Ok(Some(Path { scan, steps, conditions: Vec::new() }));
        }
        LogicalPlan::SubqueryAlias(alias) => return path(&alias.input),
        LogicalPlan::Filter(filter) => (&filter.input, vec![&filter.predicate]),
        LogicalPlan::Projection(projection) => (&projection.input, projection.expr.iter().collect()),
        LogicalPlan::Sort(sort) => (&sort.input, sort.expr.iter().map(|key| &key.expr).collect()),
        LogicalPlan::Limit(limit) => (&limit.input, limit.skip.iter().chain(&limit.fetch).map(AsRef::as_ref).collect()),
        _ => return Ok(None),
    };
    if !each_row(&exprs)? {
        return Ok(None);
    }
    let Some(mut path) = path(input)? else { return Ok(None) };
    let schema = input.schema();
    let nothing = Arc::new(DFSchema::empty());
    let step = match plan {
        LogicalPlan::Filter(filter) => {
            if path.steps.iter().all(|step| matches!(step, Step::Pick(_) | Step::Filter(_))) {
                path.conditions.extend(split_conjunction(&filter.predicate));
            }
            Step::Filter(Formula::new(&filter.predicate, schema)?)
        }
        LogicalPlan::Projection(projection) => {
            let exprs = projection.expr.iter().map(|expr| Formula::new(expr, schema)).collect::<Result<_>>()?;
            Step::Project(exprs, crate::sql::lower::nullable(projection.schema.as_arrow()))
        }
        LogicalPlan::Sort(sort) => {
            let mut keys = Vec::with_capacity(sort.expr.len());
            for key in &sort.expr {
                if key.expr.get_type(schema)?.is_nested() {
                    return Ok(None);
                }
                let options = SortOptions { descending: !key.asc, nulls_first: key.nulls_first };
                keys.push((Formula::new(&key.expr, schema)?, options));
            }
            Step::Sort(keys, sort.fetch)
        }
        LogicalPlan::Limit(limit) => {
            let count = |expr: &Option<Box<Expr>>| expr.as_ref().map(|e| Formula::new(e, &nothing)).transpose();
            Step::Limit(count(&limit.skip)?, count(&limit.fetch)?)
        }
        _ => return Ok(None),
    };
    path.steps.push(step);
    Ok(Some(path))
}

/// For each column of the relation that a condition sets equal to constants or parameters, these.
fn equalities(path: &Path) -> Result<BTreeMap<usize, Vec<Expr>>> {
    let schema = &path.scan.projected_schema;
    let place = |column: &Column| {
        let at = schema.index_of_column_by_name(None, &column.name)?;
        Some(path.scan.projection.as_ref().map_or(at, |projection| projection[at]))
    };
    let mut asked = BTreeMap::new();
    for condition in &path.conditions {
        let Some((column, values)) = equality(condition) else { continue };
        let Some(at) = place(column) else { continue };
        let data_type = schema.field_from_column(column)?.data_type();
        if values.iter().all(|value| fits_key(value, data_type)) {
            asked.entry(at).or_insert(values);
        }
    }
    Ok(asked)
}

/// Whether an expression can be the value of a key column of this type: it reads no column, and its value tells which
/// value of the column it equals.
fn fits_key(value: &Expr, data_type: &DataType) -> bool {
    let mut constant = true;
    let walked = value.apply(|expr| {
        constant &= !matches!(expr, Expr::Column(_) | Expr::OuterReferenceColumn(..));
        Ok(if constant { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    let fits = |of: DataType| of == DataType::Null || keeps_apart(data_type, &of);
    walked.is_ok() && constant && value.get_type(&DFSchema::empty()).is_ok_and(fits)
}

/// The column that a condition sets equal to values, one of which it must be.
fn equality(condition: &Expr) -> Option<(&Column, Vec<Expr>)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (column(left), column(right)) {
            (Some(column), None) => Some((column, vec![right.as_ref().clone()])),
            (None, Some(column)) => Some((column, vec![left.as_ref().clone()])),
            _ => None,
        },
        // `c IN (1, 2)` may have been written out.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let ((one, mut values), (other, more)) = (equality(left)?, equality(right)?);
            values.extend(more);
            (one == other).then_some((one, values))
        }
        Expr::InList(InList { expr, list, negated: false }) => Some((column(expr)?, list.clone())),
        _ => None,
    }
}

/// The column that an expression is, or of which it is another form that differs where the column does.
fn column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Column(column) => Some(column),
            _ => None,
        },
        _ => None,
    }
}

/// The lines of a plan, with the lookup in the place of the scan.
fn explained(plan: &LogicalPlan, object: &Object, key: &[KeyPart]) -> Vec<String> {
    let columns: Vec<&str> = key.iter().map(|part| object.schema.field(part.column).name().as_str()).collect();
    let lookup = format!("Lookup {} by ({})", object.name, columns.join(", "));
    let text = plan.display_indent().to_string();
    let line = |line: &str| {
        let inside = line.trim_start();
        match inside.strip_prefix("TableScan: ") {
            Some(_) => format!("{}{lookup}", &line[..line.len() - inside.len()]),
            None => line.to_string(),
        }
    };
    text.lines().map(line).collect()
}

/// Whether a cast from one type to another keeps different values different, so that a value of the second says which
/// of the first it came from.
pub(super) fn keeps_apart(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Utf8};
    match (from, to) {
        (from, to) if from == to => true,
        (Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64, Utf8) => true,
        (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Float64) => true,
        (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Int64) => true,
        (Int8 | Int16 | UInt8 | UInt16, Int32) => true,
        (from, Decimal128(precision, scale)) if from.is_integer() => i16::from(*precision) - i16::from(*scale) >= 20,
        _ => false,
    }
}
