//! Windows that are named in WINDOW, written out where they are used.
//!
//! ```text
//! sum(b) OVER (w ROWS UNBOUNDED PRECEDING) ... WINDOW w AS (PARTITION BY k ORDER BY id)
//! sum(b) OVER (PARTITION BY k ORDER BY id ROWS UNBOUNDED PRECEDING)
//! ```
//!
//! A window that begins with a name adds to the named one: the batch engine would read past the name. As in Postgres, it
//! cannot partition anew, can order only what has no order yet, and the named window has no frame.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select, SetExpr, Statement, VisitMut, VisitorMut,
    WindowSpec, WindowType,
};

use super::parse::normalize;
use crate::error::{Error, Place, Result, nearest};

/// Writes out the named windows of a statement.
///
/// # Errors
/// For a name that is not defined, or twice, and for a window that cannot be added to as it is.
pub fn write_out_windows(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Windows { open: Vec::new() }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

type Named = Vec<(String, WindowSpec)>;

/// The windows of the queries and SELECTs around, the nearest last. ORDER BY stands beside its SELECT, in the query, so
/// both have them.
struct Windows {
    open: Vec<Named>,
}

impl VisitorMut for Windows {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        match query.body.as_mut() {
            SetExpr::Select(select) => self.enter(select),
            _ => {
                self.open.push(Vec::new());
                ControlFlow::Continue(())
            }
        }
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.open.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        self.enter(select)
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<Self::Break> {
        self.open.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let known = self.open.last().map_or(&[][..], Vec::as_slice);
        let written = match &mut function.over {
            Some(WindowType::WindowSpec(spec)) => extend(spec, known),
            Some(over @ WindowType::NamedWindow(_)) => {
                let WindowType::NamedWindow(name) = over else { return ControlFlow::Continue(()) };
                find(name, known).map(|spec| *over = WindowType::WindowSpec(spec.clone()))
            }
            None => Ok(()),
        };
        flow(written)
    }
}

impl Windows {
    fn enter(&mut self, select: &mut Select) -> ControlFlow<Box<Error>> {
        match definitions(&mut select.named_window) {
            Ok(named) => {
                self.open.push(named);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

fn flow(result: Result<()>) -> ControlFlow<Box<Error>> {
    result.map_or_else(|error| ControlFlow::Break(Box::new(error)), ControlFlow::Continue)
}

/// Writes out the definitions, each of which may add to those before it.
fn definitions(definitions: &mut [NamedWindowDefinition]) -> Result<Named> {
    let mut known = Named::with_capacity(definitions.len());
    for NamedWindowDefinition(name, definition) in definitions {
        let spec = match definition {
            NamedWindowExpr::NamedWindow(other) => find(other, &known)?.clone(),
            NamedWindowExpr::WindowSpec(spec) => {
                extend(spec, &known)?;
                spec.clone()
            }
        };
        *definition = NamedWindowExpr::WindowSpec(spec.clone());
        let key = normalize(name);
        if known.iter().any(|(other, _)| *other == key) {
            return Err(Error::input(format!("the window `{key}` is defined twice")).with_place(place(name)));
        }
        known.push((key, spec));
    }
    Ok(known)
}

/// Adds what the window that a specification begins with has.
fn extend(spec: &mut WindowSpec, known: &[(String, WindowSpec)]) -> Result<()> {
    let Some(name) = spec.window_name.take() else { return Ok(()) };
    let base = find(&name, known)?;
    let refused =
        |why: &str| Err(Error::input(format!("window `{}` {why}", normalize(&name))).with_place(place(&name)));
    if !spec.partition_by.is_empty() {
        return refused("is extended by PARTITION BY, which only the named window itself can have");
    }
    if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        return refused("is extended by ORDER BY, and has one already");
    }
    if base.window_frame.is_some() {
        return refused("has a frame, so it cannot be extended; OVER without parentheses uses it as it is");
    }
    spec.partition_by = base.partition_by.clone();
    if spec.order_by.is_empty() {
        spec.order_by = base.order_by.clone();
    }
    Ok(())
}

fn find<'a>(name: &Ident, known: &'a [(String, WindowSpec)]) -> Result<&'a WindowSpec> {
    let wanted = normalize(name);
    known.iter().find(|(other, _)| *other == wanted).map(|(_, spec)| spec).ok_or_else(|| {
        let error = Error::input(format!("no window `{wanted}`")).with_place(place(name));
        match nearest(&wanted, known.iter().map(|(other, _)| other.as_str())) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => {
                error.with_hint("WINDOW name AS (...) after the conditions of the SELECT names one before it is used")
            }
        }
    })
}

fn place(name: &Ident) -> Option<Place> {
    let start = name.span.start;
    (start.line > 0).then_some(Place { line: start.line, column: start.column })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse_query;

    fn written(text: &str) -> String {
        let mut statement = Statement::Query(parse_query(text).unwrap());
        match write_out_windows(&mut statement) {
            Ok(()) => statement.to_string().split(" WINDOW ").next().unwrap_or_default().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_named_window_is_written_out() {
        for (over, window, expected) in [
            ("w", "w AS (PARTITION BY k)", "(PARTITION BY k)"),
            ("W", "w AS (ORDER BY a ROWS 1 PRECEDING)", "(ORDER BY a ROWS 1 PRECEDING)"),
            ("(w)", "w AS (PARTITION BY k ORDER BY a)", "(PARTITION BY k ORDER BY a)"),
            ("(w ROWS 1 PRECEDING)", "w AS (ORDER BY a)", "(ORDER BY a ROWS 1 PRECEDING)"),
            ("v", "w AS (PARTITION BY k), v AS (w ORDER BY a)", "(PARTITION BY k ORDER BY a)"),
            ("(v ROWS 1 PRECEDING)", "w AS (ORDER BY k), v AS (w)", "(ORDER BY k ROWS 1 PRECEDING)"),
        ] {
            let text = format!("SELECT sum(b) OVER {over} FROM t WINDOW {window}");
            assert_eq!(written(&text), format!("SELECT sum(b) OVER {expected} FROM t"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_added_is_refused() {
        for (over, window, says) in [
            ("(v ROWS 1 PRECEDING)", "w AS (ORDER BY a)", "no window `v`"),
            ("(w PARTITION BY k)", "w AS ()", "PARTITION BY"),
            ("(w ORDER BY k)", "w AS (ORDER BY a)", "has one already"),
            ("(w)", "w AS (ORDER BY a ROWS 1 PRECEDING)", "has a frame"),
            ("w", "w AS (v), v AS ()", "no window `v`"),
            ("w", "w AS (), W AS ()", "twice"),
        ] {
            let text = format!("SELECT sum(b) OVER {over} FROM t WINDOW {window}");
            assert!(written(&text).contains(says), "{text}: {}", written(&text));
        }
        let inner = "SELECT (SELECT sum(b) OVER w FROM u) FROM t WINDOW w AS ()";
        assert!(written(inner).contains("no window `w`"), "{}", written(inner));
        let mut ordered =
            Statement::Query(parse_query("SELECT b FROM t WINDOW w AS (ORDER BY a) ORDER BY sum(b) OVER w").unwrap());
        write_out_windows(&mut ordered).unwrap();
        assert!(ordered.to_string().ends_with("OVER (ORDER BY a)"), "{ordered}");
    }
}
