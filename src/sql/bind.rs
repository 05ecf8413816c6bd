//! Statements to logical plans: names and types.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, TableReference};
use datafusion::datasource::{TableProvider, provider_as_source};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;

use super::asof::{self, planned as as_of, write_out_asof};
use super::base_types::with_base_types;
use super::beside::beside_tables;
use super::bounds::bounded;
use super::casts_apart::tell_casts_apart;
use super::columns::{name_columns, tell_apart};
use super::comparison::{compared, compared_expr};
use super::group_once::group_once;
use super::grouping::group_by_sets;
use super::grouping_sets::write_out_sets;
use super::inline::{SqlFunction, inline};
use super::json::readable;
use super::kinds::{expr_of_one_kind, of_one_kind, rounds_of_one_kind};
use super::merged::write_out_merged;
use super::named_windows::write_out_windows;
use super::own_names::call_by_own_names;
use super::parameters::{Parameters, refuse_parameters, with_values};
use super::parse::normalize;
use super::past::CHANGES;
use super::postgres::rewrite;
use super::recursive_terms::{refuse_cuts, refuse_limits, refuse_reads_within, terms};
use super::shadowed::refuse_shadowed;
use super::unanswerable::refuse_unanswerable;
use crate::error::{Error, Result, is_about_names, list, nearest};

/// What names mean to a query: live rows, history, or just schemas, as the use wants it.
pub trait Names {
    /// The relation of that name in the user's schema.
    ///
    /// # Errors
    /// When the name exists but cannot be read, such as a view with a failing row.
    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>>;

    /// The same, where the schema is said: what is temporary is not in it.
    ///
    /// # Errors
    /// As [`Names::table`].
    fn lasting_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.table(name)
    }

    /// A relation of another schema, such as `information_schema`.
    ///
    /// # Errors
    /// As [`Names::table`].
    fn system_table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let _ = (schema, name);
        Ok(None)
    }

    /// A function that was defined in SQL.
    fn function(&self, name: &str) -> Option<Arc<SqlFunction>> {
        let _ = name;
        None
    }

    /// The rows that a view has at hand, of the plan of its query: some show later, and some go again.
    ///
    /// # Errors
    /// Never, short of a bug.
    fn held(&self, view: u32, plan: LogicalPlan) -> Result<LogicalPlan> {
        let _ = view;
        Ok(plan)
    }

    /// The column of a relation's event times, if it has a watermark.
    fn event_time(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// Every name there is, for "did you mean".
    fn all(&self) -> Vec<String>;
}

/// Binds statements over a set of names.
pub struct Binder<'a> {
    state: &'a SessionState,
    names: &'a dyn Names,
    options: ParserOptions,
}

impl<'a> Binder<'a> {
    /// Binds with the functions of `state` over `names`.
    pub fn new(state: &'a SessionState, names: &'a dyn Names) -> Self {
        let parser = &state.config_options().sql_parser;
        let options = ParserOptions::new()
            .with_collect_spans(parser.collect_spans)
            .with_map_string_types_to_utf8view(parser.map_string_types_to_utf8view);
        Binder { state, names, options }
    }

    /// The plan of a query as it is written: neither checked nor optimised.
    ///
    /// # Errors
    /// When a name, a type or a function does not exist or does not fit, with its place where known.
    pub fn query(&self, query: &ast::Query) -> Result<LogicalPlan> {
        self.statement(ast::Statement::Query(Box::new(query.clone())))
    }

    /// The same, of a query whose rows are for reading: JSON values are text, and columns may have one name twice. Comes
    /// with what each column of the plan is to be called where it is called something else there.
    ///
    /// # Errors
    /// As [`Binder::query`].
    pub fn shown(&self, query: &ast::Query) -> Result<(LogicalPlan, HashMap<String, String>)> {
        match self.query(query) {
            Err(error) if is_about_names(&error) => {
                let mut query = query.clone();
                let shown = tell_apart(&mut query);
                let plan = self.query(&query).map_err(|_| error)?;
                Ok((readable(plan)?, shown))
            }
            plan => Ok((readable(plan?)?, HashMap::new())),
        }
    }

    /// The plan of an INSERT, UPDATE, DELETE or query.
    ///
    /// # Errors
    /// As [`Binder::query`].
    pub fn statement(&self, mut statement: ast::Statement) -> Result<LogicalPlan> {
        let planned = self.plan(statement.clone());
        match (&planned, &mut statement) {
            // What is inserted goes by its place.
            (Err(error), ast::Statement::Insert(insert)) if is_about_names(error) => {
                insert.source.as_mut().map(|query| tell_apart(query));
                self.plan(statement)
            }
            _ => planned,
        }
    }

    fn plan(&self, mut statement: ast::Statement) -> Result<LogicalPlan> {
        name_columns(&mut statement);
        inline(&mut statement, &|name| self.names.function(name))?;
        write_out_windows(&mut statement)?;
        write_out_sets(&mut statement)?;
        write_out_merged(&mut statement, &|name| self.columns_of(name))?;
        write_out_asof(&mut statement, &|name| self.names.event_time(name))?;
        refuse_shadowed(&statement, &|name| self.columns_of(name))?;
        rewrite(&mut statement)?;
        beside_tables(&mut statement)?;
        group_once(&mut statement);
        tell_casts_apart(&mut statement);
        group_by_sets(&mut statement);
        refuse_limits(&statement)?;
        call_by_own_names(&mut statement, self.state);
        let plan = self.plan_as_written(statement.clone())?;
        refuse_reads_within(&plan)?;
        refuse_unanswerable(&plan, self.state)?;
        for terms in terms(&statement) {
            let plan = |query| self.plan_as_written(ast::Statement::Query(Box::new(query)));
            // What cannot be planned alone names a table of a WITH further out.
            if let (Ok(base), Ok(step)) = (plan(terms.base), plan(terms.step)) {
                rounds_of_one_kind(&terms.name, &base, &step)?;
                refuse_cuts(&terms.name, base, step, self.state.config_options())?;
            }
        }
        match with_base_types(&mut statement, &plan, self.state.config_options())? {
            true => self.plan_as_written(statement),
            false => Ok(plan),
        }
    }

    fn plan_as_written(&self, statement: ast::Statement) -> Result<LogicalPlan> {
        let planner = SqlToRel::new_with_options(self, self.options);
        let parameters = Parameters::known(self.state);
        let types = parameters.as_ref().map_or_else(Vec::new, |known| known.fields());
        let mut context = PlannerContext::new().with_prepare_param_data_types(types);
        let plan = planner.sql_statement_to_plan_with_context(statement, &mut context);
        let plan = bounded(as_of(plan.map_err(|error| self.with_near_function(error.into()))?)?)?;
        let plan = compared(of_one_kind(plan)?)?;
        match parameters {
            Some(parameters) => parameters.give(plan),
            None => refuse_parameters(&plan).map(|()| plan),
        }
    }

    /// The columns of a CREATE, with their types.
    ///
    /// # Errors
    /// When a type is unknown.
    pub fn schema(&self, columns: Vec<ast::ColumnDef>) -> Result<SchemaRef> {
        let planner = SqlToRel::new_with_options(self, self.options);
        let schema = planner.build_schema(columns)?;
        // The parser marks nothing but NOT NULL; metadata and views of strings have no place in a declared schema.
        let fields = schema.fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
        Ok(Arc::new(Schema::new(fields)))
    }

    /// An expression over the columns of `schema`.
    ///
    /// # Errors
    /// As [`Binder::query`].
    pub fn expression(&self, mut expression: ast::Expr, schema: &DFSchema) -> Result<Expr> {
        inline(&mut expression, &|name| self.names.function(name))?;
        rewrite(&mut expression)?;
        call_by_own_names(&mut expression, self.state);
        let planner = SqlToRel::new_with_options(self, self.options);
        let parameters = Parameters::known(self.state).unwrap_or_default();
        let mut context = PlannerContext::new().with_prepare_param_data_types(parameters.fields());
        let expr = planner.sql_to_expr(expression, schema, &mut context);
        let expr = expr.map_err(|error| self.with_near_function(error.into()))?;
        let expr = compared_expr(expr_of_one_kind(expr, schema)?, schema)?.data;
        with_values(expr, parameters.values.as_deref().unwrap_or_default())
    }
}

/// The error for a name that there is not.
pub fn unknown(names: &dyn Names, name: &str) -> Error {
    let all = names.all();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let error = Error::input(format!("no stream, table or view `{name}`"));
    match nearest(name, names.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.with_hint("there are none yet: CREATE STREAM or CREATE TABLE makes one"),
        None => error.with_hint(format!("there are {}", list(&names))),
    }
}

impl ContextProvider for Binder<'_> {
    fn get_table_source(&self, name: TableReference) -> datafusion::error::Result<Arc<dyn TableSource>> {
        let table = match name.schema() {
            Some(super::SCHEMA) => self.names.lasting_table(name.table()),
            Some(schema) => self.names.system_table(schema, name.table()),
            None => self.names.table(name.table()),
        };
        match table? {
            Some(provider) => Ok(provider_as_source(provider)),
            None => Err(unknown(self.names, &name.to_string()).into()),
        }
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> datafusion::error::Result<Arc<dyn TableSource>> {
        if name == CHANGES {
            let error = Error::unsupported(format!("{CHANGES}(...) here"));
            return Err(error.with_hint("queries read changes, views and prepared statements do not").into());
        }
        let Some(function) = self.state.table_functions().get(name) else {
            return Err(self.unknown_function(name, self.state.table_functions().keys()).into());
        };
        let empty = DFSchema::empty();
        let args =
            args.into_iter().map(|arg| super::expr::simplify(self.state, arg, &empty)).collect::<Result<Vec<_>>>()?;
        let args = datafusion::catalog::TableFunctionArgs::new(&args, self.state);
        Ok(provider_as_source(function.create_table_provider_with_args(args)?))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> datafusion::error::Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(super::types::Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if name == asof::MARK { Some(asof::mark()) } else { self.state.scalar_functions().get(name).cloned() }
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        sorted(self.state.scalar_functions().keys())
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        sorted(self.state.higher_order_functions().keys())
    }

    fn udaf_names(&self) -> Vec<String> {
        sorted(self.state.aggregate_functions().keys())
    }

    fn udwf_names(&self) -> Vec<String> {
        sorted(self.state.window_functions().keys())
    }
}

impl Binder<'_> {
    /// The columns of a relation, if there is one that can be read.
    fn columns_of(&self, name: &ast::ObjectName) -> Option<Vec<String>> {
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(normalize).collect();
        let name = match parts.as_slice() {
            [name] => TableReference::bare(name.clone()),
            [.., schema, name] => TableReference::partial(schema.clone(), name.clone()),
            [] => return None,
        };
        let table = self.get_table_source(name).ok()?;
        Some(table.schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    /// The error for a function that there is not, with the one that was most likely meant.
    fn with_near_function(&self, error: Error) -> Error {
        let message = error.to_string();
        let Some(name) = message.strip_prefix("no function `").and_then(|rest| rest.split('`').next()) else {
            return error;
        };
        let known = [self.udf_names(), self.udaf_names(), self.udwf_names()].concat();
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        }
    }

    fn unknown_function<'n>(&self, name: &str, known: impl Iterator<Item = &'n String>) -> Error {
        let known = sorted(known);
        let error = Error::input(format!("no table function `{name}`"));
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        }
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = names.cloned().collect();
    names.sort_unstable();
    names
}
