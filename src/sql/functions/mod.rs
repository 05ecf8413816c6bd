//! Functions in the place of the batch engine's: above all aggregates whose results do not depend on the order of rows.
//!
//! The batch engine adds floats in the order in which they come, so that its answer changes with the number of
//! threads; a view that is kept up to date could not agree with it bit for bit. Under the same names Millstream
//! registers functions with one answer: sums and averages are exact and rounded once, MIN and MAX of floats
//! follow the total order, variances and what is like them are quotients of exact sums, and the statistics that have no
//! such form see their rows sorted by value.

/// What a function has from the one that it stands in for (`self.inner`).
macro_rules! as_inner {
    () => {
        as_inner_but_type!();

        fn return_type(&self, types: &[DataType]) -> Result<DataType> {
            self.inner.return_type(types)
        }
    };
}

/// The same, of a function with a type of its own.
macro_rules! as_inner_but_type {
    () => {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn aliases(&self) -> &[String] {
            self.inner.aliases()
        }

        fn signature(&self) -> &Signature {
            self.inner.signature()
        }

        fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
            self.inner.coerce_types(types)
        }

        fn documentation(&self) -> Option<&Documentation> {
            self.inner.documentation()
        }
    };
}

/// That the order of rows means nothing to a function.
macro_rules! without_order {
    () => {
        fn order_sensitivity(&self) -> AggregateOrderSensitivity {
            AggregateOrderSensitivity::Insensitive
        }

        fn reverse_expr(&self) -> ReversedUDAF {
            ReversedUDAF::Identical
        }
    };
}

mod binned;
mod bounded;
mod calendar;
mod corrected;
mod exact;
mod extreme;
mod extreme_nested;
mod float;
mod framed;
mod frequent;
mod interpolated;
mod interval_average;
mod measured;
mod moments;
mod nested;
mod numbered;
mod patterns;
mod ranged;
mod recipe;
mod series;
mod shifted;
mod signed;
mod sorted;
mod text;
mod totals;
mod zones;

use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use crate::error::Result;
use crate::operators::moments::Statistic;
pub use binned::date_bin;
use bounded::{Bounded, Growth};
use corrected::Corrected;
use float::{FloatAggregate, FloatFunction};
pub use framed::Framed;
use interpolated::Interpolated;
use interval_average::IntervalAverage;
use measured::Measured;
use moments::ExactStatistic;
pub use nested::{ClearFields, Cleared};
use numbered::Numbered;
pub use numbered::row_number;
use ranged::Ranged;
use series::Series;
use shifted::Shifted;
use signed::Signed;
use sorted::Sorted;

/// Functions of numbers with an exact form.
const FLOATS: [(&str, FloatFunction); 4] = [
    ("sum", FloatFunction::Sum),
    ("avg", FloatFunction::Average),
    ("min", FloatFunction::Min),
    ("max", FloatFunction::Max),
];

/// Functions that see their rows sorted.
const SORTED: [&str; 5] =
    ["approx_median", "approx_percentile_cont", "approx_percentile_cont_with_weight", "percentile_cont", "median"];

/// Functions that see their rows in the order of the call.
const ORDERED: [&str; 1] = ["nth_value"];

/// Functions that forget DISTINCT in some plans.
const CORRECTED: [&str; 3] = ["array_agg", "string_agg", "bit_xor"];

/// Functions that look below a NULL.
const CLEARED: [&str; 2] = ["array_append", "array_prepend"];

/// Functions whose values may be far longer than their arguments.
const BOUNDED: [(&str, Growth); 9] = [
    ("repeat", Growth::Times),
    ("array_repeat", Growth::Times),
    ("lpad", Growth::Characters),
    ("rpad", Growth::Characters),
    ("array_resize", Growth::Elements),
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Sum),
    ("replace", Growth::Replaced),
    ("regexp_replace", Growth::ReplacedPattern),
];
/// Functions that make lists of any length.
const SERIES: [&str; 2] = ["generate_series", "range"];
/// Functions that measure texts, and what there is of it in a byte.
const MEASURED: [(&str, i32); 3] = [("character_length", 1), ("octet_length", 1), ("bit_length", 8)];
/// Functions of a row some rows away.
const SHIFTED: [&str; 2] = ["lag", "lead"];
/// Functions that number rows.
const NUMBERED: [&str; 4] = ["row_number", "rank", "dense_rank", "ntile"];
/// Functions whose counts are signed.
const SIGNED: [&str; 5] = ["array_length", "array_ndims", "array_position", "array_positions", "cardinality"];
/// Functions that take the nearest result where there is none.
const RANGED: [&str; 1] = ["to_timestamp"];

/// Puts Millstream's functions in the place of the batch engine's.
///
/// # Errors
/// When the batch engine does not have a function that we stand in for.
pub fn register(mut state: SessionState) -> Result<SessionState> {
    for (name, function) in FLOATS {
        let inner = state.udaf(name)?;
        state.register_udaf(Arc::new(AggregateUDF::from(FloatAggregate::new(inner, function))))?;
    }
    let average = state.udaf("avg")?;
    state.register_udaf(Arc::new(AggregateUDF::from(IntervalAverage::new(average))))?;
    for (name, statistic) in Statistic::ALL {
        let inner = state.udaf(name)?;
        state.register_udaf(Arc::new(AggregateUDF::from(ExactStatistic::new(inner, statistic))))?;
    }
    let percentile = state.udaf("percentile_cont")?;
    state.register_udaf(Arc::new(AggregateUDF::from(Interpolated::new(percentile))))?;
    for name in SORTED {
        let inner = state.udaf(name)?;
        state.register_udaf(Arc::new(AggregateUDF::from(Sorted::by_value(inner))))?;
    }
    for name in ORDERED {
        let inner = state.udaf(name)?;
        state.register_udaf(Arc::new(AggregateUDF::from(Sorted::by_order(inner))))?;
    }
    for name in CORRECTED {
        let inner = state.udaf(name)?;
        state.register_udaf(Arc::new(AggregateUDF::from(Corrected::new(inner))))?;
    }
    for name in CLEARED {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Cleared::new(inner))))?;
    }
    for (name, growth) in BOUNDED {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Bounded::new(inner, growth))))?;
    }
    for function in [text::all(), patterns::all(), calendar::all(), zones::all(), vec![frequent::function()]].concat() {
        state.register_udf(Arc::new(function))?;
    }
    for name in SERIES {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Series::new(inner))))?;
    }
    for (name, per_byte) in MEASURED {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Measured::new(inner, per_byte))))?;
    }
    for name in SHIFTED {
        let inner = state.udwf(name)?;
        state.register_udwf(Arc::new(WindowUDF::from(Shifted::new(inner))))?;
    }
    for name in NUMBERED {
        let inner = state.udwf(name)?;
        state.register_udwf(Arc::new(WindowUDF::from(Numbered::new(inner))))?;
    }
    for name in SIGNED {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Signed::new(inner))))?;
    }
    for name in RANGED {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Ranged::new(inner))))?;
    }
    state.register_udf(date_bin())?;
    Ok(state)
}

/// Whether an aggregate's result depends on the order of its rows, and it takes an ORDER BY.
pub fn is_order_sensitive(name: &str) -> bool {
    matches!(name, "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value" | "any_value")
}
