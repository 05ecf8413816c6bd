//! Functions of lists and structs that look below a NULL.
//!
//! A list or a struct that is NULL may still have elements or fields in its column: CASE and NULLIF leave them there.
//! `array_append`, `array_prepend` and `get_field` take them for the value's own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, GenericListArray, OffsetSizeTrait, StructArray, UInt64Array, cast::AsArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{is_null, nullif, take};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// A function whose arguments hold nothing where they are NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Cleared {
    inner: Arc<ScalarUDF>,
}

impl Cleared {
    /// Stands in for `inner`.
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        Cleared { inner }
    }
}

impl ScalarUDFImpl for Cleared {
    as_inner!();

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, context)
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.placement(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        for arg in &mut args.args {
            if let ColumnarValue::Array(array) = arg {
                *array = cleared(array)?;
            }
        }
        self.inner.invoke_with_args(args)
    }
}

/// Lets every access to a field of a struct see NULL in a struct that is NULL.
///
/// The batch engine makes calls of `get_field` in its planner and in its other rules, past the registry of functions.
#[derive(Debug)]
pub struct ClearFields;

impl OptimizerRule for ClearFields {
    fn name(&self) -> &str {
        "clear_fields"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.map_expressions(|expr| {
            expr.transform_up(|expr| match expr {
                Expr::ScalarFunction(ScalarFunction { func, args }) if func.inner().is::<GetFieldFunc>() => {
                    let func = Arc::new(ScalarUDF::from(Cleared::new(func)));
                    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    }
}

/// A column with nothing below its NULLs.
fn cleared(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::List(_) if array.null_count() > 0 => cleared_list::<i32>(array),
        DataType::LargeList(_) if array.null_count() > 0 => cleared_list::<i64>(array),
        DataType::Struct(_) => cleared_struct(array),
        _ => Ok(array.clone()),
    }
}

fn cleared_struct(array: &ArrayRef) -> Result<ArrayRef> {
    let structs = array.as_struct();
    let nulls = if structs.null_count() > 0 { Some(is_null(structs)?) } else { None };
    let field = |field: &ArrayRef| match &nulls {
        Some(nulls) => cleared(&nullif(field, nulls)?),
        None => cleared(field),
    };
    let fields = structs.columns().iter().map(field).collect::<Result<Vec<_>>>()?;
    let clear =
        StructArray::try_new_with_length(structs.fields().clone(), fields, structs.nulls().cloned(), structs.len())?;
    Ok(Arc::new(clear))
}

fn cleared_list<O: OffsetSizeTrait>(array: &ArrayRef) -> Result<ArrayRef> {
    let lists = array.as_list::<O>();
    let length = |row| if lists.is_valid(row) { lists.value_length(row).as_usize() } else { 0 };
    let offsets = OffsetBuffer::<O>::from_lengths((0..lists.len()).map(length));
    let elements = (0..lists.len()).filter(|row| lists.is_valid(*row)).flat_map(|row| {
        let start = lists.value_offsets()[row].as_usize() as u64;
        start..start + length(row) as u64
    });
    let values = take(lists.values(), &UInt64Array::from_iter_values(elements), None)?;
    let (DataType::List(field) | DataType::LargeList(field)) = lists.data_type() else { return Ok(array.clone()) };
    Ok(Arc::new(GenericListArray::<O>::try_new(field.clone(), offsets, values, lists.nulls().cloned())?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StringArray};
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    #[test]
    fn a_list_that_is_null_has_no_elements() {
        let field = Arc::new(Field::new_list_field(DataType::Int64, true));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let nulls = NullBuffer::from(vec![true, false, true]);
        let offsets = OffsetBuffer::<i32>::from_lengths([1, 2, 1]);
        let dirty: ArrayRef = Arc::new(ListArray::new(field, offsets, values, Some(nulls)));
        let clean = cleared(&dirty).unwrap();
        let expected =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None, Some(vec![Some(4)])]);
        assert_eq!(clean.as_list::<i32>(), &expected);
        assert_eq!(clean.as_list::<i32>().values().len(), 2);
    }

    #[test]
    fn a_struct_that_is_null_has_no_fields() {
        let inner = StructArray::new(
            vec![Field::new("b", DataType::Utf8, true)].into(),
            vec![Arc::new(StringArray::from(vec!["x", "y"]))],
            None,
        );
        let fields = vec![Field::new("a", DataType::Int64, true), Field::new("s", inner.data_type().clone(), true)];
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(inner)];
        let dirty = StructArray::new(fields.into(), columns, Some(NullBuffer::from(vec![false, true])));
        let clean = cleared(&(Arc::new(dirty) as ArrayRef)).unwrap();
        let clean = clean.as_struct();
        assert_eq!(clean.column(0).as_ref(), &Int64Array::from(vec![None, Some(2)]));
        let inner = clean.column(1).as_struct();
        assert!(inner.is_null(0) && inner.is_valid(1));
        assert_eq!(inner.column(0).as_ref(), &StringArray::from(vec![None, Some("y")]));
    }
}
