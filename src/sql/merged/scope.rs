//! What can be named: the columns of tables, of queries and of joins.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, JoinOperator, ObjectName, Query, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, TableAlias, TableFactor, TableWithJoins, WildcardAdditionalOptions, visit_expressions,
};

use crate::error::{Error, Result};
use crate::sql::columns::name_of;
use crate::sql::parse::normalize;
use crate::sql::time_windows::{self, COLUMNS as WINDOW};

/// The columns of a relation of the catalog.
pub type Catalog<'a> = &'a dyn Fn(&ObjectName) -> Option<Vec<String>>;

/// A column as it can be named without its table.
#[derive(Clone)]
pub struct Column {
    pub name: String,
    pub value: Expr,
    /// Whether the value takes the place of the name.
    pub written_out: bool,
}

impl Column {
    /// The tables that the value names.
    pub fn tables(&self) -> Vec<String> {
        let mut tables = Vec::new();
        let _ = visit_expressions(&self.value, |expr| {
            if let Expr::CompoundIdentifier(parts) = expr {
                tables.extend(parts.first().map(normalize));
            }
            ControlFlow::<()>::Continue(())
        });
        tables
    }
}

/// What can be named in a SELECT.
#[derive(Clone)]
pub struct Scope {
    /// In the order of `*`.
    pub columns: Vec<Column>,
    /// Tables by name.
    pub tables: Vec<String>,
    /// Whether these are all columns.
    pub complete: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Scope { columns: Vec::new(), tables: Vec::new(), complete: true }
    }
}

impl Scope {
    /// The scope of one table.
    pub fn of_table(name: String, columns: Option<Vec<String>>) -> Self {
        let complete = columns.is_some();
        let value = |column: &str| {
            let parts = [name.as_str(), column].map(|part| Ident::with_quote('"', part));
            Expr::CompoundIdentifier(parts.to_vec())
        };
        let columns = columns.unwrap_or_default().into_iter();
        let columns = columns.map(|column| Column { value: value(&column), name: column, written_out: false });
        Scope { columns: columns.collect(), tables: vec![name], complete }
    }

    /// The scope of what has columns but no name.
    pub fn without_table(columns: Option<Vec<String>>) -> Self {
        let complete = columns.is_some();
        let columns = columns.unwrap_or_default().into_iter().map(|name| {
            let value = Expr::Identifier(Ident::with_quote('"', &name));
            Column { name, value, written_out: false }
        });
        Scope { columns: columns.collect(), tables: Vec::new(), complete }
    }

    /// What can be named beside each other.
    pub fn beside(mut self, other: Scope) -> Self {
        self.columns.extend(other.columns);
        self.tables.extend(other.tables);
        self.complete &= other.complete;
        self
    }

    pub fn relations(&self) -> impl Iterator<Item = &String> {
        self.tables.iter()
    }

    pub fn merges(&self) -> bool {
        self.columns.iter().any(|column| column.written_out)
    }

    /// The same with each name standing for its value.
    pub fn written_out(mut self) -> Self {
        self.columns.iter_mut().for_each(|column| column.written_out = true);
        self
    }
}

/// The columns of what stands in a FROM, by name.
pub struct Known<'a> {
    catalog: Catalog<'a>,
    common: Vec<(String, Option<Vec<String>>)>,
}

impl<'a> Known<'a> {
    pub fn new(catalog: Catalog<'a>) -> Self {
        Known { catalog, common: Vec::new() }
    }

    /// How many queries of WITH are known.
    pub fn common_tables(&self) -> usize {
        self.common.len()
    }

    pub fn forget_common_tables(&mut self, keep: usize) {
        self.common.truncate(keep);
    }

    pub fn add_common_table(&mut self, alias: &TableAlias, columns: Option<Vec<String>>) {
        self.common.push((normalize(&alias.name), renamed(columns, Some(alias))));
    }

    /// The columns of a query in which no join merges columns any more.
    pub fn columns_of_query(&mut self, query: &Query) -> Option<Vec<String>> {
        let common = self.common.len();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = self.columns_of_query(&cte.query);
            self.add_common_table(&cte.alias, columns);
        }
        let columns = self.columns_of_body(&query.body);
        self.common.truncate(common);
        columns
    }

    /// The columns of what a query consists of.
    pub fn columns_of_body(&mut self, body: &SetExpr) -> Option<Vec<String>> {
        match body {
            SetExpr::Query(query) => self.columns_of_query(query),
            SetExpr::SetOperation { left, .. } => self.columns_of_body(left),
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.len());
                Some((1..=width).map(|at| format!("column{at}")).collect())
            }
            SetExpr::Select(select) => {
                let mut columns = Vec::new();
                for item in &select.projection {
                    match item {
                        SelectItem::Wildcard(options) => {
                            let left_out = left_out(options).ok()?;
                            let all = self.columns_of_from(&select.from, None)?;
                            columns.extend(all.into_iter().filter(|name| !left_out.contains(name)));
                        }
                        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), options) => {
                            let left_out = left_out(options).ok()?;
                            let table = table.0.last().and_then(|part| part.as_ident()).map(normalize)?;
                            let all = self.columns_of_from(&select.from, Some(&table))?;
                            columns.extend(all.into_iter().filter(|name| !left_out.contains(name)));
                        }
                        item => columns.push(name_of(item)?),
                    }
                }
                Some(columns)
            }
            _ => None,
        }
    }

    /// The columns of all of a FROM, or of one table in it.
    fn columns_of_from(&mut self, from: &[TableWithJoins], table: Option<&str>) -> Option<Vec<String>> {
        let mut all = Vec::new();
        for item in from {
            let mut columns = self.columns_of_factor(&item.relation, table)?;
            for join in &item.joins {
                let right = self.columns_of_factor(&join.relation, table)?;
                match &join.join_operator {
                    JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) => {}
                    JoinOperator::Anti(_) | JoinOperator::LeftAnti(_) => {}
                    JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => columns = right,
                    _ => columns.extend(right),
                }
            }
            all.extend(columns);
        }
        Some(all)
    }

    /// The columns of a part of FROM; of `table` alone where one is given.
    pub fn columns_of_factor(&mut self, factor: &TableFactor, table: Option<&str>) -> Option<Vec<String>> {
        if let TableFactor::NestedJoin { table_with_joins, alias: None } = factor {
            return self.columns_of_from(std::slice::from_ref(table_with_joins.as_ref()), table);
        }
        if table.is_some_and(|table| name_of_factor(factor).as_deref() != Some(table)) {
            return Some(Vec::new());
        }
        if let Some(rows) = time_windows::rows(factor) {
            let rows = self.columns_of_query(rows)?.into_iter().filter(|column| !WINDOW.contains(&column.as_str()));
            let columns = rows.chain(WINDOW.map(String::from)).collect();
            return renamed(Some(columns), time_windows::alias(factor).as_ref());
        }
        match factor {
            TableFactor::Table { name, args: None, alias, .. } => {
                let key = name.0.last().and_then(|part| part.as_ident()).map(normalize)?;
                let common = self.common.iter().rev().find(|(common, _)| name.0.len() == 1 && *common == key);
                let columns = match common {
                    Some((_, columns)) => columns.clone(),
                    None => (self.catalog)(name),
                };
                renamed(columns, alias.as_ref())
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let columns = self.columns_of_query(subquery);
                renamed(columns, alias.as_ref())
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let columns = self.columns_of_from(std::slice::from_ref(table_with_joins.as_ref()), None);
                renamed(columns, alias.as_ref())
            }
            TableFactor::Table { alias, .. } | TableFactor::Function { alias, .. } => {
                let names = alias.as_ref().map_or(&[][..], |alias| &alias.columns);
                let names: Vec<String> = names.iter().map(|column| normalize(&column.name)).collect();
                (!names.is_empty()).then_some(names)
            }
            _ => None,
        }
    }
}

/// What a part of FROM is called.
pub fn name_of_factor(factor: &TableFactor) -> Option<String> {
    if time_windows::rows(factor).is_some() {
        return time_windows::alias(factor).map(|alias| normalize(&alias.name));
    }
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } => Some(normalize(&alias.name)),
        TableFactor::Table { name, .. } => name.0.last().and_then(|part| part.as_ident()).map(normalize),
        _ => None,
    }
}

/// Columns under the names that an alias gives the first of them.
fn renamed(columns: Option<Vec<String>>, alias: Option<&TableAlias>) -> Option<Vec<String>> {
    let names = alias.map_or(&[][..], |alias| &alias.columns);
    let mut columns = columns?;
    for (column, name) in columns.iter_mut().zip(names) {
        *column = normalize(&name.name);
    }
    Some(columns)
}

/// The columns that `* EXCLUDE` and `* EXCEPT` leave out.
pub fn left_out(options: &WildcardAdditionalOptions) -> Result<Vec<String>> {
    if options.opt_ilike.is_some() || options.opt_rename.is_some() || options.opt_alias.is_some() {
        return Err(Error::unsupported("this form of `*` over a join that merges columns"));
    }
    let excluded: Vec<&ObjectName> = match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        Some(ExcludeSelectItem::Multiple(names)) => names.iter().collect(),
        None => Vec::new(),
    };
    let excluded = excluded.into_iter().filter_map(|name| name.0.last()?.as_ident());
    let excepted = options.opt_except.iter();
    let excepted =
        excepted.flat_map(|except| std::iter::once(&except.first_element).chain(&except.additional_elements));
    Ok(excluded.chain(excepted).map(normalize).collect())
}

/// The last part of a name.
pub fn last_name(value: &Expr) -> Option<String> {
    match value {
        Expr::CompoundIdentifier(parts) => parts.last().map(normalize),
        _ => None,
    }
}
