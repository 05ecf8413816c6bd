//! Numbers as Postgres reads them: one with a point is a NUMERIC, and a text of one may have an exponent.
//!
//! ```text
//! 2.5::INT             '2.5'::DECIMAL(2, 1)::INT     3: the batch engine's literal is a double, of which half is even
//! '1.5e3'::NUMERIC     '1500'::NUMERIC
//! ```

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, UnaryOperator, Value,
};

use super::string;

/// Digits that a decimal may have.
const DIGITS_MAX: usize = 38;

/// What a cast to an integer type is of, if that is numbers alone and one has a point.
pub(super) fn exact(value: &Expr, data_type: &DataType) -> Option<Expr> {
    (is_integer(data_type) && has_point(value)).then(|| with_decimals(value))?
}

fn is_integer(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::TinyInt(_)
            | DataType::SmallInt(_)
            | DataType::Int2(_)
            | DataType::Int(_)
            | DataType::Int4(_)
            | DataType::Integer(_)
            | DataType::BigInt(_)
            | DataType::Int8(_)
    )
}

fn has_point(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, _) if digits.contains('.')),
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => has_point(inner),
        Expr::BinaryOp { left, right, .. } => has_point(left) || has_point(right),
        _ => false,
    }
}

/// The same with a decimal for each number with a point; nothing where there is anything but sums and products of
/// numbers.
fn with_decimals(expr: &Expr) -> Option<Expr> {
    Some(match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.contains('.') => decimal(digits)?,
            Value::Number(digits, _) if digits.bytes().all(|digit| digit.is_ascii_digit()) => expr.clone(),
            _ => return None,
        },
        Expr::Nested(inner) => Expr::Nested(Box::new(with_decimals(inner)?)),
        Expr::UnaryOp { op: op @ (UnaryOperator::Minus | UnaryOperator::Plus), expr } => {
            Expr::UnaryOp { op: *op, expr: Box::new(with_decimals(expr)?) }
        }
        Expr::BinaryOp { left, op, right } => {
            let (BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply) = op else { return None };
            super::binary(with_decimals(left)?, op.clone(), with_decimals(right)?)
        }
        _ => return None,
    })
}

/// Digits with a point among them as a decimal of just these digits.
fn decimal(text: &str) -> Option<Expr> {
    let (whole, fraction) = text.split_once('.')?;
    let is_digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    let precision = whole.len() + fraction.len();
    if !is_digits(whole) || !is_digits(fraction) || !(1..=DIGITS_MAX).contains(&precision) {
        return None;
    }
    let digits = ExactNumberInfo::PrecisionAndScale(precision as u64, fraction.len() as i64);
    Some(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(string(format!("0{whole}.{fraction}"))),
        data_type: DataType::Decimal(digits),
        array: false,
        format: None,
    })
}

/// The text of a decimal without its exponent; nothing where it has none, or the text is no number.
pub(super) fn without_exponent(text: &str, data_type: &DataType) -> Option<String> {
    if !matches!(data_type, DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_)) {
        return None;
    }
    let (mantissa, exponent) = text.trim().split_once(['e', 'E'])?;
    let exponent: i32 =
        exponent.parse().ok().filter(|exponent: &i32| exponent.unsigned_abs() as usize <= 2 * DIGITS_MAX)?;
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // Where the point comes to stand among all digits; zeros fill what lies between.
    let point = whole.len() as i32 + exponent;
    let before = "0".repeat(usize::try_from(1 - point).unwrap_or(0));
    let after = "0".repeat(usize::try_from(point - all.len() as i32).unwrap_or(0));
    let filled = format!("{before}{all}{after}");
    let (whole, fraction) = filled.split_at(point.max(1) as usize);
    Some(format!("{sign}{whole}.{fraction}0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponent_moves_the_point() {
        let plain = |text| without_exponent(text, &DataType::Numeric(ExactNumberInfo::None));
        for (text, expected) in [
            ("1e3", "1000.0"),
            ("1e-3", "0.0010"),
            ("-12.5E1", "-125.0"),
            ("+.5e0", "0.50"),
            ("12.34e1", "123.40"),
            (" 1234e-2 ", "12.340"),
            ("0e0", "0.0"),
        ] {
            assert_eq!(plain(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["1", "e3", "1e", "1e3x", "1e999", "--1e3", "1.2.3e4"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }
}
