//! Functions defined in SQL: each call is replaced by the function's body, before anything is planned.
//!
//! ```text
//! CREATE FUNCTION net(gross BIGINT, rate INT) RETURNS BIGINT RETURN gross * 100 / (100 + rate)
//! net(price, 20)     CAST((CAST(price AS BIGINT)) * 100 / (100 + (CAST(20 AS INT))) AS BIGINT)
//! ```

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, Visit, VisitMut,
    Visitor, VisitorMut, visit_expressions,
};
use serde::{Deserialize, Serialize};

use super::parse::{normalize, parse_expression};
use super::postgres::name_of;
use crate::error::{Error, Result};

/// Expressions that the bodies of functions may come to in one statement.
const INLINED_MAX: usize = 20_000;

/// How deep the expression may be that a call comes to.
pub const INLINED_DEPTH_MAX: usize = 1_000;

/// A function defined in SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlFunction {
    /// Its name, normalised.
    pub name: String,
    /// The names and types of its arguments.
    pub arguments: Vec<(String, String)>,
    /// The type of its value.
    pub returns: String,
    /// The text of the expression that it stands for.
    pub body: String,
    /// The functions that the body calls.
    pub calls: BTreeSet<String>,
    /// The statement that made it.
    pub sql: String,
}

impl SqlFunction {
    /// `name(argument type, ...)`.
    pub fn signature(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(|(name, of)| format!("{name} {of}")).collect();
        format!("{}({})", self.name, arguments.join(", "))
    }
}

/// Finds a function by its name.
pub type Find<'a> = &'a dyn Fn(&str) -> Option<Arc<SqlFunction>>;

/// Replaces the calls of functions by their bodies.
///
/// # Errors
/// When a call has too many arguments or too few, or there is too much to put in.
pub fn inline(tree: &mut impl VisitMut, find: Find) -> Result<()> {
    inline_within(tree, find, &mut INLINED_MAX.clone())
}

fn inline_within(tree: &mut impl VisitMut, find: Find, left: &mut usize) -> Result<()> {
    match tree.visit(&mut Calls { find, left }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// The functions that a statement calls, as far as `is_known` knows them.
pub fn calls(tree: &impl Visit, is_known: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let _ = visit_expressions(tree, |expr| {
        if let Expr::Function(Function { name, .. }) = expr {
            found.extend(name_of(name).filter(|name| is_known(name)));
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

struct Calls<'a> {
    find: Find<'a>,
    left: &'a mut usize,
}

impl VisitorMut for Calls<'_> {
    type Break = Box<Error>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let Some(function) = name_of(&call.name).and_then(|name| (self.find)(&name)) else {
            return ControlFlow::Continue(());
        };
        match self.body(&function, call) {
            Ok(body) => {
                *expr = body;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Calls<'_> {
    fn body(&mut self, function: &SqlFunction, call: &Function) -> Result<Expr> {
        let wrong = || Error::input(format!("function `{}` is called as {}", function.name, function.signature()));
        let given = arguments(call).ok_or_else(wrong)?;
        if given.len() != function.arguments.len() {
            return Err(wrong());
        }
        let mut values = Vec::with_capacity(given.len());
        for ((_, data_type), value) in function.arguments.iter().zip(given) {
            values.push(Expr::Nested(Box::new(cast(value.clone(), parse_type(data_type)?))));
        }
        let mut body = parse_expression(&function.body)?;
        inline_within(&mut body, self.find, self.left)?;
        let place = |expr: &Expr| match expr {
            Expr::Identifier(name) => {
                let name = normalize(name);
                function.arguments.iter().position(|(argument, _)| *argument == name)
            }
            Expr::Value(value) => match &value.value {
                Value::Placeholder(text) => text.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1),
                _ => None,
            },
            _ => None,
        };
        let mut comes_to = 0;
        let _ = visit_expressions(&body, |expr| {
            comes_to += place(expr).and_then(|at| values.get(at)).map_or(1, size);
            ControlFlow::<()>::Continue(())
        });
        *self.left = self.left.checked_sub(comes_to).ok_or_else(|| {
            Error::Limit(format!("the functions of the statement come to more than {INLINED_MAX} expressions"))
        })?;
        let _ = VisitMut::visit(&mut body, &mut Arguments { place: &place, values: &values });
        let value = Expr::Nested(Box::new(cast(Expr::Nested(Box::new(body)), parse_type(&function.returns)?)));
        if depth(&value) > INLINED_DEPTH_MAX {
            return Err(Error::Limit(format!(
                "the functions that `{}` calls are deeper within each other than the limit of {INLINED_DEPTH_MAX}",
                function.name
            )));
        }
        Ok(value)
    }
}

/// Puts values in the place of arguments.
struct Arguments<'a> {
    place: &'a dyn Fn(&Expr) -> Option<usize>,
    values: &'a [Expr],
}

impl VisitorMut for Arguments<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(value) = (self.place)(expr).and_then(|at| self.values.get(at)) {
            *expr = value.clone();
        }
        ControlFlow::Continue(())
    }
}

fn size(expr: &Expr) -> usize {
    let mut size = 0;
    let _ = visit_expressions(expr, |_| {
        size += 1;
        ControlFlow::<()>::Continue(())
    });
    size
}

fn depth(expr: &Expr) -> usize {
    let mut depth = Depth::default();
    let _ = Visit::visit(expr, &mut depth);
    depth.deepest
}

/// How many expressions are within each other.
#[derive(Default)]
struct Depth {
    here: usize,
    deepest: usize,
}

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.here += 1;
        self.deepest = self.deepest.max(self.here);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.here -= 1;
        ControlFlow::Continue(())
    }
}

/// The arguments of a plain call.
fn arguments(call: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let plain = call.over.is_none()
        && call.filter.is_none()
        && call.within_group.is_empty()
        && list.duplicate_treatment.is_none()
        && list.clauses.is_empty();
    let value = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref value)) => Some(value),
        _ => None,
    };
    if plain { list.args.iter().map(value).collect() } else { None }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn parse_type(text: &str) -> Result<DataType> {
    match parse_expression(&format!("CAST(NULL AS {text})"))? {
        Expr::Cast { data_type, .. } => Ok(data_type),
        _ => Err(Error::Internal(format!("`{text}` is no type"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, arguments: &[(&str, &str)], body: &str) -> Arc<SqlFunction> {
        Arc::new(SqlFunction {
            name: name.into(),
            arguments: arguments.iter().map(|(name, of)| (name.to_string(), of.to_string())).collect(),
            returns: "BIGINT".into(),
            body: body.into(),
            calls: BTreeSet::new(),
            sql: String::new(),
        })
    }

    fn inlined(text: &str) -> String {
        let known = [
            function("twice", &[("a", "BIGINT")], "a * 2"),
            function("sum2", &[("a", "INT"), ("b", "INT")], "$1 + twice(b)"),
            function("wide", &[("a", "INT")], "a + a + a + a + a + a + a + a + a + a"),
        ];
        let mut expr = parse_expression(text).unwrap();
        match inline(&mut expr, &|name| known.iter().find(|f| f.name == name).cloned()) {
            Ok(()) => expr.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_call_is_its_body() {
        assert_eq!(inlined("twice(a + 1) + f(a)"), "(CAST(((CAST(a + 1 AS BIGINT)) * 2) AS BIGINT)) + f(a)");
        assert_eq!(
            inlined("sum2(a, b)"),
            "(CAST(((CAST(a AS INT)) + (CAST(((CAST((CAST(b AS INT)) AS BIGINT)) * 2) AS BIGINT))) AS BIGINT))"
        );
        assert_eq!(inlined("twice(1, 2)"), "error: function `twice` is called as twice(a BIGINT)");
        assert!(inlined("twice(a) OVER ()").starts_with("error: "));
        assert!(inlined(&format!("{}a{}", "wide(".repeat(8), ")".repeat(8))).contains("come to more than"));
    }
}
