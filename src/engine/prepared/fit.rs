//! Values for parameters: of the parameter's type, or of one that says the same.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::engine::show::type_name;
use crate::error::{Error, Result};

/// A value as the type of its parameter, which is the one of this number. Numbers fit another type of numbers where
/// they say the same in it, moments likewise; text is read. A parameter without a type takes any value.
///
/// # Errors
/// When the value is of another kind, or would become another one.
pub fn fit(value: &ScalarValue, data_type: Option<&DataType>, number: usize) -> Result<ScalarValue> {
    let Some(wanted) = data_type else { return Ok(value.clone()) };
    let given = value.data_type();
    if given == *wanted {
        return Ok(value.clone());
    }
    if value.is_null() {
        return Ok(ScalarValue::try_from(wanted)?);
    }
    let refused =
        |what: &str| Error::input(format!("parameter `${number}` takes {}, and {what} was given", type_name(wanted)));
    let is_text = matches!(given, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let same_kind = (given.is_numeric() && wanted.is_numeric()) || (is_moment(&given) && is_moment(wanted));
    if !is_text && !same_kind {
        return Err(refused(&format!("{value}, of type {},", type_name(&given))));
    }
    let shown = if is_text { format!("'{value}'") } else { value.to_string() };
    let cast = value.cast_to(wanted).map_err(|_| refused(&shown))?;
    // A number with a fraction for BIGINT would become another number. Only that a double is rounded for a REAL is what
    // everybody expects.
    let rounds = given == DataType::Float64 && *wanted == DataType::Float32;
    let same = is_text || rounds || cast.cast_to(&given).is_ok_and(|back| back == *value);
    if same && !cast.is_null() { Ok(cast) } else { Err(refused(&shown)) }
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn values_fit_where_they_say_the_same() {
        let fits = |value: ScalarValue, data_type: DataType| match fit(&value, Some(&data_type), 1) {
            Ok(fitted) => {
                assert_eq!(fitted.data_type(), data_type);
                fitted.to_string()
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(fits(5i32.into(), DataType::Int64), "5");
        assert_eq!(fits(5.0.into(), DataType::Int32), "5");
        assert_eq!(fits(0.1.into(), DataType::Float32), "0.1");
        assert_eq!(fits("-7".into(), DataType::Int16), "-7");
        assert_eq!(fits(4.25.into(), DataType::Decimal128(6, 2)), "4.25");
        assert_eq!(fits(ScalarValue::Null, DataType::Utf8), "NULL");
        assert_eq!(fits("2024-02-29".into(), DataType::Date32), "2024-02-29");
        assert_eq!(fits(5.5.into(), DataType::Int64), "parameter `$1` takes BIGINT, and 5.5 was given");
        assert_eq!(fits(300i64.into(), DataType::Int8), "parameter `$1` takes TINYINT, and 300 was given");
        assert_eq!(fits("x".into(), DataType::Int64), "parameter `$1` takes BIGINT, and 'x' was given");
        assert_eq!(
            fits(true.into(), DataType::Int64),
            "parameter `$1` takes BIGINT, and true, of type BOOLEAN, was given"
        );
        assert_eq!(fits(1i64.into(), DataType::Utf8), "parameter `$1` takes VARCHAR, and 1, of type BIGINT, was given");
        let day = ScalarValue::Date32(Some(1));
        let moment = DataType::Timestamp(TimeUnit::Nanosecond, None);
        assert_eq!(fit(&fit(&day, Some(&moment), 1).unwrap(), Some(&DataType::Date32), 1).unwrap(), day);
        assert_eq!(fit(&5i64.into(), None, 1).unwrap(), ScalarValue::from(5i64));
    }
}
