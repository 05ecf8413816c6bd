//! What is most likely a slip, and means something to the parser all the same.
//!
//! ```text
//! t JOIN u               every row with every row: CROSS JOIN says so
//! DELETE t WHERE ...     FROM is forgotten, or a word before it
//! SELECT 2x, 1_0a        a number and the name of a column
//! WHERE rank() OVER ...  rows are numbered when WHERE has chosen them: QUALIFY
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Delete, Expr, FromTable, JoinConstraint, JoinOperator, Query, Select, Spanned, Statement, TableFactor,
    TableWithJoins, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Place, Result};

/// Refuses joins without a condition, and DELETE without FROM.
///
/// # Errors
/// That say what to write.
pub fn refuse_slips(statement: &impl Visit) -> Result<()> {
    match statement.visit(&mut Slips) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Slips;

impl Visitor for Slips {
    type Break = Box<Error>;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        select.from.iter().try_for_each(joined_by_something)?;
        select.selection.iter().try_for_each(|condition| without_windows("WHERE", condition))?;
        select.having.iter().try_for_each(|condition| without_windows("HAVING", condition))
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        match table {
            TableFactor::NestedJoin { table_with_joins, .. } => joined_by_something(table_with_joins),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Self::Break> {
        match statement {
            Statement::Delete(Delete { from: FromTable::WithoutKeyword(_), .. }) => {
                ControlFlow::Break(Box::new(Error::input("DELETE is written DELETE FROM table")))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn joined_by_something(item: &TableWithJoins) -> ControlFlow<Box<Error>> {
    for join in &item.joins {
        let what = match &join.join_operator {
            JoinOperator::Join(JoinConstraint::None) | JoinOperator::Inner(JoinConstraint::None) => "JOIN",
            JoinOperator::Left(JoinConstraint::None) | JoinOperator::LeftOuter(JoinConstraint::None) => "LEFT JOIN",
            JoinOperator::Right(JoinConstraint::None) | JoinOperator::RightOuter(JoinConstraint::None) => "RIGHT JOIN",
            JoinOperator::FullOuter(JoinConstraint::None) => "FULL JOIN",
            _ => continue,
        };
        let error = Error::input(format!("{what} {} needs ON or USING", join.relation));
        return ControlFlow::Break(Box::new(error.with_hint("CROSS JOIN brings every row together with every row")));
    }
    ControlFlow::Continue(())
}

fn without_windows(clause: &str, condition: &Expr) -> ControlFlow<Box<Error>> {
    let ControlFlow::Break((name, place)) = condition.visit(&mut Windows { depth: 0 }) else {
        return ControlFlow::Continue(());
    };
    let error = Error::input(format!("window functions such as `{name}` are not allowed in {clause}"));
    let hint = "QUALIFY chooses rows by them: SELECT ... FROM ... WHERE ... QUALIFY row_number() OVER (...) = 1";
    ControlFlow::Break(Box::new(error.with_hint(hint).with_place(Some(place))))
}

/// Looks for a window function outside of subqueries, which have clauses of their own.
struct Windows {
    depth: usize,
}

impl Visitor for Windows {
    type Break = (String, Place);

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Function(function) if self.depth == 0 && function.over.is_some() => {
                let start = function.name.span().start;
                ControlFlow::Break((function.name.to_string(), Place { line: start.line, column: start.column }))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Reads `1_000` as the number it is, and refuses other words that begin right behind a number.
///
/// # Errors
/// With the place of the number.
pub fn numbers_alone(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let mut read: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let (Token::Word(word), Some(last)) = (&token.token, read.last_mut())
            && let Token::Number(number, _) = &mut last.token
            && last.span.end == token.span.start
            && word.quote_style.is_none()
        {
            if !is_digits(&word.value) || number.contains(['.', 'e', 'E']) {
                let place = Place { line: last.span.start.line, column: last.span.start.column };
                let error = Error::input(format!("`{number}{}` is neither a number nor a name", word.value));
                return Err(error.with_place(Some(place)));
            }
            number.push_str(&word.value.replace('_', ""));
            last.span.end = token.span.end;
            continue;
        }
        read.push(token);
    }
    Ok(read)
}

/// Groups of digits with one `_` before each.
fn is_digits(text: &str) -> bool {
    let mut groups = text.split('_');
    groups.next() == Some("") && groups.all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::{parse, parse_expression};

    #[test]
    fn slips_are_refused() {
        for (text, says) in [
            ("SELECT 1 FROM t JOIN u", "JOIN u needs ON or USING"),
            ("SELECT 1 FROM t LEFT JOIN u", "LEFT JOIN u needs ON or USING"),
            ("SELECT 1 FROM (t JOIN u) CROSS JOIN v", "JOIN u needs ON or USING"),
            ("CREATE VIEW w AS SELECT 1 FROM t FULL JOIN u", "FULL JOIN u needs ON or USING"),
            ("DELETE t WHERE a = 1", "DELETE FROM"),
            ("SELECT 1 FROM t WHERE a = 1 AND rank() OVER (ORDER BY a) = 1", "`rank` are not allowed in WHERE"),
            ("SELECT a FROM t GROUP BY a HAVING sum(a) OVER () > 1", "`sum` are not allowed in HAVING"),
            ("SELECT 2x", "`2x` is neither"),
            ("SELECT 1_0a", "`1_0a` is neither"),
            ("SELECT 1__0", "`1__0` is neither"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
        for text in [
            "SELECT 1 FROM t WHERE a IN (SELECT rank() OVER (ORDER BY a) FROM t)",
            "SELECT 1 FROM t CROSS JOIN u",
            "SELECT 1 FROM t NATURAL JOIN u",
            "SELECT 1 x, 1e5, 0x1F",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn digits_have_groups() {
        assert_eq!(parse_expression("1_000 + 12_3_4").unwrap().to_string(), "1000 + 1234");
    }
}
