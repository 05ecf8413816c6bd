//! Names of types: what Postgres calls them, as the batch engine's types.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{self, CharacterLength, ExactNumberInfo, TimezoneInfo};

use crate::error::Error;

/// FLOAT(n) of so many bits has double precision.
const SINGLE_PRECISION_BITS: u64 = 24;

/// Types that the batch engine does not know, or knows as something else.
#[derive(Debug)]
pub struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, name: &ast::DataType) -> datafusion::error::Result<Option<FieldRef>> {
        use ast::DataType as Name;
        let data_type = match name {
            Name::Float(ExactNumberInfo::Precision(bits)) if *bits <= SINGLE_PRECISION_BITS => DataType::Float32,
            Name::Float(_) | Name::Double(_) | Name::Float64 => DataType::Float64,
            Name::Character(_)
            | Name::CharacterVarying(_)
            | Name::CharVarying(_)
            | Name::Varchar(_)
            | Name::Nvarchar(_)
            | Name::Clob(_)
            // JSON is kept as its text.
            | Name::JSON
            | Name::JSONB => DataType::Utf8,
            Name::Blob(_) | Name::Varbinary(_) | Name::Binary(_) | Name::Bytes(_) => DataType::Binary,
            Name::Dec(info) => return Types.plan_type_field(&Name::Decimal(*info)),
            Name::Datetime(None) => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Name::Datetime(precision) => {
                return Types.plan_type_field(&Name::Timestamp(*precision, TimezoneInfo::None));
            }
            Name::Time(Some(6), TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                DataType::Time64(TimeUnit::Microsecond)
            }
            Name::Uuid => return Err(refused(name, "keep it as TEXT").into()),
            Name::Custom(custom, _) => match custom.to_string().to_lowercase().as_str() {
                "serial" | "bigserial" | "smallserial" | "serial4" | "serial8" | "serial2" => {
                    let hint = "give the column a type such as BIGINT and insert its values, which are part of the event";
                    return Err(refused(name, hint).into());
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

fn refused(name: &ast::DataType, hint: &str) -> Error {
    Error::unsupported(format!("there is no type {name}")).with_hint(hint)
}

/// Whether values of the type are texts of JSON.
pub fn is_json(name: &ast::DataType) -> bool {
    matches!(name, ast::DataType::JSON | ast::DataType::JSONB)
}

/// How many characters the values of a type such as VARCHAR(10) have at most.
pub fn characters_max(name: &ast::DataType) -> Option<u64> {
    use ast::DataType as Name;
    match name {
        Name::Varchar(Some(CharacterLength::IntegerLength { length, .. }))
        | Name::Nvarchar(Some(CharacterLength::IntegerLength { length, .. }))
        | Name::Char(Some(CharacterLength::IntegerLength { length, .. }))
        | Name::Character(Some(CharacterLength::IntegerLength { length, .. }))
        | Name::CharVarying(Some(CharacterLength::IntegerLength { length, .. }))
        | Name::CharacterVarying(Some(CharacterLength::IntegerLength { length, .. })) => Some(*length),
        _ => None,
    }
}
