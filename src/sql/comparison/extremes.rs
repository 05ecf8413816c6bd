//! GREATEST and LEAST of lists, NULL in them being the greatest element. A list that is NULL itself does not count.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, BooleanArray, make_comparator};
use arrow::compute::SortOptions;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The greatest or the least of lists of one type.
pub(super) fn extreme(greatest: bool, lists: Vec<Expr>) -> Expr {
    if greatest { GREATEST.call(lists) } else { LEAST.call(lists) }
}

// One of each, so that equal expressions are equal.
static GREATEST: LazyLock<ScalarUDF> = LazyLock::new(|| of_lists(true));
static LEAST: LazyLock<ScalarUDF> = LazyLock::new(|| of_lists(false));

fn of_lists(greatest: bool) -> ScalarUDF {
    ScalarUDF::from(ListExtreme { signature: Signature::variadic_any(Volatility::Immutable), greatest })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListExtreme {
    signature: Signature,
    greatest: bool,
}

impl ScalarUDFImpl for ListExtreme {
    fn name(&self) -> &str {
        if self.greatest { "greatest_list" } else { "least_list" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut best = args.args[0].to_array(args.number_rows)?;
        let worse = if self.greatest { Ordering::Less } else { Ordering::Greater };
        for list in &args.args[1..] {
            let other = list.to_array(args.number_rows)?;
            let compare = make_comparator(&best, &other, SortOptions { descending: false, nulls_first: false })?;
            let stays = |row| other.is_null(row) || (best.is_valid(row) && compare(row, row) != worse);
            let stays: BooleanArray = (0..args.number_rows).map(|row| Some(stays(row))).collect();
            best = zip(&stays, &best, &other)?;
        }
        Ok(ColumnarValue::Array(Arc::clone(&best)))
    }
}
