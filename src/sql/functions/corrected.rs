//! Functions of the batch engine that forget DISTINCT in some plans.
//!
//! Over groups, `bit_xor(DISTINCT ...)` counts every value. Beside another aggregate with an order, `array_agg` and
//! `string_agg` may be run backwards over rows in the opposite order, but put the values of DISTINCT in order themselves,
//! and then in the wrong one. `string_agg` sorts its rows, but refuses to stand beside another order.
//! What is not run backwards is told that rows in the opposite order come in its own.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
};

/// A function that is neither run backwards nor, with DISTINCT, by the accumulators of many groups.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Corrected {
    inner: Arc<AggregateUDF>,
}

impl Corrected {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<AggregateUDF>) -> Self {
        Corrected { inner }
    }
}

impl AggregateUDFImpl for Corrected {
    as_inner!();

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    /// What depends on an order puts its rows in order where they do not come so.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        match self.inner.reverse_udf() {
            ReversedUDAF::Identical => AggregateOrderSensitivity::Insensitive,
            _ => AggregateOrderSensitivity::SoftRequirement,
        }
    }

    /// Whether rows come in the order or in the opposite one is not told: they are put in order in either case.
    fn with_beneficial_ordering(self: Arc<Self>, _: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.inner.reverse_udf() {
            ReversedUDAF::Identical => ReversedUDAF::Identical,
            _ => ReversedUDAF::NotSupported,
        }
    }
}
