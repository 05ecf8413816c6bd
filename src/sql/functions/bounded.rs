//! Functions that make much of little, with a limit on what they make.
//!
//! `repeat('x', 2000000000)` is short to write and takes gigabytes, more than the program may have. The size of each
//! value is known before it is made, and one past [`VALUE_BYTES_MAX`] is an error of its row, whatever rows are beside
//! it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::kernels::length::length;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::functions::regex::compile_regex;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// Bytes of a value that a function makes longer than its arguments.
pub const VALUE_BYTES_MAX: i64 = 64 << 20;

/// Bytes of an element of a list, at least.
const ELEMENT_BYTES: i64 = 8;

/// What decides how large a value gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Growth {
    /// The first argument as often as the second says.
    Times,
    /// Characters, as many as the second argument says.
    Characters,
    /// Elements, as many as the second argument says.
    Elements,
    /// All arguments, one after another.
    Sum,
    /// The third argument wherever the second is found in the first.
    Replaced,
    /// The third argument wherever the second, a regular expression, is found in the first.
    ReplacedPattern,
}

/// A function with a limit.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl Bounded {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<ScalarUDF>, growth: Growth) -> Self {
        Bounded { inner, growth }
    }

    fn check(&self, args: &[ColumnarValue], rows: usize) -> Result<()> {
        let sizes = match self.growth {
            Growth::Times => vec![sizes(args.first())?, numbers(args.get(1))?],
            Growth::Characters | Growth::Elements => vec![numbers(args.get(1))?],
            Growth::Sum => args.iter().map(|arg| sizes(Some(arg))).collect::<Result<_>>()?,
            Growth::Replaced | Growth::ReplacedPattern => {
                vec![sizes(args.first())?, sizes(args.get(1))?, sizes(args.get(2))?]
            }
        };
        // Where all rows have the same arguments, one stands for all.
        let is_one = sizes.iter().all(|sizes| matches!(sizes, Sizes::One(_)));
        let rows = if is_one { rows.min(1) } else { rows };
        for row in 0..rows {
            let of = |arg: usize| sizes[arg].at(row);
            let bytes = match self.growth {
                Growth::Times => of(0).saturating_mul(of(1)),
                Growth::Characters => of(0),
                Growth::Elements => of(0).saturating_mul(ELEMENT_BYTES),
                Growth::Sum => (0..sizes.len()).map(of).fold(0, i64::saturating_add),
                Growth::Replaced | Growth::ReplacedPattern => {
                    let most = (of(0) + 1).saturating_mul(of(2));
                    if most > VALUE_BYTES_MAX { self.found(args, row)?.saturating_mul(of(2)) } else { most }
                }
            };
            if bytes > VALUE_BYTES_MAX {
                let name = self.inner.name();
                return exec_err!("{name} would make a value of {bytes} bytes and the limit is {VALUE_BYTES_MAX}");
            }
        }
        Ok(())
    }

    /// How often the second argument is in the first.
    fn found(&self, args: &[ColumnarValue], row: usize) -> Result<i64> {
        let (Some(text), Some(sought)) = (text_at(&args[0], row)?, text_at(&args[1], row)?) else { return Ok(0) };
        let count = match self.growth {
            Growth::ReplacedPattern => {
                let flags = args.get(3).map(|flags| text_at(flags, row)).transpose()?.flatten().unwrap_or_default();
                if !flags.contains('g') {
                    return Ok(1);
                }
                compile_regex(&sought, Some(&flags.replace('g', "")))?.find_iter(&text).count()
            }
            _ => text.matches(sought.as_str()).count(),
        };
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl ScalarUDFImpl for Bounded {
    as_inner!();

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args.args, args.number_rows)?;
        // Fewer characters than none are none; the batch engine panics over a column of them.
        if let (Growth::Characters, Some(ColumnarValue::Array(characters))) = (self.growth, args.args.get_mut(1))
            && let Some(counts) = characters.as_primitive_opt::<Int64Type>()
        {
            *characters = Arc::new(counts.unary::<_, Int64Type>(|count| count.max(0)));
        }
        self.inner.invoke_with_args(args)
    }
}

/// A number for each row, or one for all of them; what is NULL counts for nothing.
enum Sizes {
    One(i64),
    Each(Int64Array),
}

impl Sizes {
    fn at(&self, row: usize) -> i64 {
        match self {
            Sizes::One(size) => *size,
            Sizes::Each(sizes) if sizes.is_valid(row) => sizes.value(row).max(0),
            Sizes::Each(_) => 0,
        }
    }
}

/// How long values are.
fn sizes(arg: Option<&ColumnarValue>) -> Result<Sizes> {
    measured(arg, |array| match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary | DataType::LargeBinary => {
            whole(&length(array)?)
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            let lengths = whole(&length(array)?)?;
            Ok(lengths.unary(|elements| elements.saturating_mul(ELEMENT_BYTES)))
        }
        _ => Ok(Int64Array::from_value(ELEMENT_BYTES, array.len())),
    })
}

/// The values of numbers; nothing where they are not whole.
fn numbers(arg: Option<&ColumnarValue>) -> Result<Sizes> {
    measured(arg, whole)
}

fn measured(arg: Option<&ColumnarValue>, measure: impl Fn(&ArrayRef) -> Result<Int64Array>) -> Result<Sizes> {
    Ok(match arg {
        None => Sizes::One(0),
        Some(ColumnarValue::Scalar(value)) => Sizes::One(Sizes::Each(measure(&value.to_array()?)?).at(0)),
        Some(ColumnarValue::Array(array)) => Sizes::Each(measure(array)?),
    })
}

fn whole(array: &ArrayRef) -> Result<Int64Array> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    Ok(cast_with_options(array, &DataType::Int64, &options)?.as_primitive::<Int64Type>().clone())
}

fn text_at(arg: &ColumnarValue, row: usize) -> Result<Option<String>> {
    let (array, row) = match arg {
        ColumnarValue::Scalar(value) => (value.to_array()?, 0),
        ColumnarValue::Array(array) => (array.slice(row, 1), 0),
    };
    let texts = arrow::compute::cast(&array, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    Ok(texts.is_valid(row).then(|| texts.value(row).to_string()))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use datafusion::common::ScalarValue;
    use datafusion::functions::string::{repeat, replace};

    use super::*;

    #[test]
    fn values_are_measured_before_they_are_made() {
        let texts = |texts: Vec<Option<&str>>| ColumnarValue::Array(Arc::new(StringArray::from(texts)));
        let text = |text: &str| ColumnarValue::Scalar(ScalarValue::from(text));
        let times = |times: Vec<i64>| ColumnarValue::Array(Arc::new(Int64Array::from(times)));
        let repeated = Bounded::new(repeat(), Growth::Times);
        let most = VALUE_BYTES_MAX;
        assert!(repeated.check(&[text("x"), times(vec![most, -1])], 2).is_ok());
        assert!(repeated.check(&[text("x"), times(vec![1, most + 1])], 2).is_err());
        assert!(repeated.check(&[texts(vec![Some("xy"), None]), times(vec![1, i64::MAX])], 2).is_ok());
        // An empty batch has no row, whatever the constants are.
        assert!(repeated.check(&[texts(Vec::new()), times(Vec::new())], 0).is_ok());
        assert!(repeated.check(&[texts(Vec::new()), ColumnarValue::Scalar(i64::MAX.into())], 0).is_ok());
        let replaced = Bounded::new(replace(), Growth::Replaced);
        let (long, longer) = ("a".repeat(10_000), "b".repeat(10_000));
        assert!(replaced.check(&[text(&long), text("a"), text(&longer)], 1).is_err());
        assert!(replaced.check(&[text(&long), text("c"), text(&longer)], 1).is_ok());
    }
}
