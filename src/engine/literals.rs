//! Numbers written for DECIMAL columns, kept digit by digit.
//!
//! The batch engine reads `1234567890123456.7891` as a double, which has no room for it. Where such a number is given
//! to a DECIMAL column as it stands, in VALUES or SET, it is handed on as text, which is cast without loss.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast;

use super::catalog::Object;
use crate::sql::parse::normalize;

/// Rewrites the numbers that a statement gives to DECIMAL columns of its target.
pub fn keep_digits(statement: &mut ast::Statement, target: &Object) {
    match statement {
        ast::Statement::Insert(insert) => {
            let names: Vec<String> = insert.columns.iter().filter_map(last_part).collect();
            let decimal: Vec<bool> = match names.is_empty() {
                true => target.schema.fields().iter().map(|f| f.data_type().is_decimal()).collect(),
                false => names.iter().map(|name| is_decimal(target, name)).collect(),
            };
            let Some(ast::SetExpr::Values(values)) = insert.source.as_mut().map(|query| query.body.as_mut()) else {
                return;
            };
            for row in &mut values.rows {
                row.content
                    .iter_mut()
                    .zip(&decimal)
                    .filter(|(_, decimal)| **decimal)
                    .for_each(|(expr, _)| as_text(expr));
            }
        }
        ast::Statement::Update(update) => {
            for assignment in &mut update.assignments {
                if let ast::AssignmentTarget::ColumnName(name) = &assignment.target
                    && last_part(name).is_some_and(|name| is_decimal(target, &name))
                {
                    as_text(&mut assignment.value);
                }
            }
        }
        _ => {}
    }
}

fn last_part(name: &ast::ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(normalize)
}

fn is_decimal(target: &Object, column: &str) -> bool {
    target.schema.field_with_name(column).is_ok_and(|field| DataType::is_decimal(field.data_type()))
}

fn as_text(expr: &mut ast::Expr) {
    let text = match &*expr {
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => digits(expr).map(|digits| format!("-{digits}")),
        expr => digits(expr).map(str::to_string),
    };
    if let Some(text) = text {
        *expr = ast::Expr::value(ast::Value::SingleQuotedString(text));
    }
}

fn digits(expr: &ast::Expr) -> Option<&str> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => Some(digits),
            _ => None,
        },
        _ => None,
    }
}
