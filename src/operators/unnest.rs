//! Unnest: a row for each element of its lists, a column for each field of its structs. Linear: `dQ(R) = Q(dR)`.
//!
//! ```text
//! +2 a [1, 2]    becomes    +2 a 1
//!                           +2 a 2      the weight goes along as one more column
//! ```

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::UnnestOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::unnest::{ListUnnest, UnnestExec};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use super::project::batch;
use crate::circuit::{Operator, Tick};
use crate::delta::size::batch_bytes;
use crate::delta::{Delta, Weights};
use crate::error::{Error, Result};

/// What is taken apart.
#[derive(Debug, Clone)]
pub struct Nested {
    /// Columns of lists, each with how many levels of it.
    pub lists: Vec<ListUnnest>,
    /// Columns of structs.
    pub structs: Vec<usize>,
    /// Whether a NULL list counts as one NULL.
    pub options: UnnestOptions,
}

/// Takes lists and structs apart with the batch engine's own kernel.
pub struct Unnest {
    schema: SchemaRef,
    input: SchemaRef,
    output: SchemaRef,
    nested: Nested,
    context: Arc<TaskContext>,
    text: String,
}

impl Unnest {
    /// Takes apart columns of `input`; `schema` is what comes of it. `text` names the columns, for `EXPLAIN`.
    pub fn new(input: &Schema, schema: SchemaRef, nested: Nested, context: Arc<TaskContext>, text: String) -> Self {
        let with_weight = |schema: &Schema| {
            let weight = Arc::new(Field::new("weight", DataType::Int64, true));
            Arc::new(Schema::new(schema.fields().iter().cloned().chain([weight]).collect::<Vec<_>>()))
        };
        Unnest { input: with_weight(input), output: with_weight(&schema), schema, nested, context, text }
    }

    fn run(&self, rows: RecordBatch, bytes_max: usize) -> Result<Vec<RecordBatch>> {
        let source = MemorySourceConfig::try_new_exec(&[vec![rows]], self.input.clone(), None)?;
        let Nested { lists, structs, options } = self.nested.clone();
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(UnnestExec::new(source, lists, structs, self.output.clone(), options)?);
        futures::executor::block_on(async {
            let mut stream = execute_stream(plan, self.context.clone())?;
            let (mut batches, mut bytes) = (Vec::new(), 0usize);
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                bytes = bytes.saturating_add(batch_bytes(&batch));
                if bytes > bytes_max {
                    return Err(Error::Limit(format!(
                        "{self}: the elements of one change come to more than the {bytes_max} bytes that are left"
                    )));
                }
                batches.push(batch);
            }
            Ok(batches)
        })
    }
}

impl Operator for Unnest {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn step(&mut self, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
        let input = inputs[0];
        if !input.has_rows() {
            return Ok(Delta::empty(self.schema.clone()));
        }
        let weights: ArrayRef = Arc::new(Int64Array::from(input.weights.to_vec(input.len())));
        let columns = input.batch.columns().iter().cloned().chain([weights]).collect();
        let ones = input.weights.as_slice().is_none();
        let mut parts = Vec::new();
        for rows in self.run(batch(&self.input, columns, input.len())?, tick.output_bytes_max)? {
            let (weights, columns) = rows.columns().split_last().expect("the weight is a column");
            let weights = match ones {
                true => Weights::ones(),
                false => Weights::new(weights.as_primitive::<Int64Type>().values().to_vec()),
            };
            parts.push(Delta::new(batch(&self.schema, columns.to_vec(), rows.num_rows())?, weights));
        }
        Delta::concat(&self.schema, &parts)
    }
}

impl fmt::Display for Unnest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unnest of {}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::cast;
    use datafusion::common::NullHandling;

    use super::*;
    use crate::delta::text::{parse, print};
    use crate::operators::testing::{Random, schema};

    /// Rows of a text and a list of as many numbers as its second column says: `a 2` is `a [1, 2]`.
    fn delta(text: &str) -> Delta {
        let flat = schema(&[("k", DataType::Utf8), ("n", DataType::Int64)]);
        let delta = parse(&flat, text).unwrap();
        let lengths = delta.column(1).as_primitive::<Int64Type>();
        let lists = lengths.iter().map(|n| n.map(|n| (1..=n).map(Some).collect::<Vec<_>>()));
        let lists: ArrayRef = Arc::new(arrow::array::ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let lists = cast(&lists, &DataType::new_list(DataType::Int64, true)).unwrap();
        let nested = schema(&[("k", DataType::Utf8), ("xs", lists.data_type().clone())]);
        let batch = RecordBatch::try_new(nested, vec![delta.column(0).clone(), lists]).unwrap();
        Delta::new(batch, delta.weights)
    }

    fn operator(preserve_nulls: bool) -> Unnest {
        let list = ListUnnest { index_in_input_schema: 1, depth: 1 };
        let null_handling = if preserve_nulls { NullHandling::Preserve } else { NullHandling::Drop };
        let options = UnnestOptions::new().with_null_handling(null_handling);
        let nested = Nested { lists: vec![list], structs: Vec::new(), options };
        let output = schema(&[("k", DataType::Utf8), ("x", DataType::Int64)]);
        Unnest::new(&delta("").schema(), output, nested, Arc::new(TaskContext::default()), "xs".into())
    }

    fn step(operator: &mut Unnest, text: &str) -> String {
        print(&operator.step(&[&delta(text)], &Tick::default()).unwrap()).unwrap()
    }

    #[test]
    fn each_element_is_a_row_of_the_same_weight() {
        let mut unnest = operator(false);
        assert_eq!(
            step(&mut unnest, "+1 a 2\n+3 b 1\n-2 c 2\n+1 d 0\n+1 e null"),
            "+1 a 1\n+1 a 2\n+3 b 1\n-2 c 1\n-2 c 2\n"
        );
        assert_eq!(step(&mut unnest, ""), "");
        assert_eq!(step(&mut operator(true), "+1 d 0\n-1 e null"), "-1 e null\n");
        let tick = Tick { output_bytes_max: 10, ..Tick::default() };
        assert!(matches!(unnest.step(&[&delta("+1 a 9")], &tick), Err(Error::Limit(_))));
    }

    #[test]
    fn unnest_reference() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let mut unnest = operator(seed % 2 == 0);
            let (mut lines, mut expected) = (String::new(), String::new());
            for _ in 0..random.below(30) {
                let (key, weight) = (random.pick(&["a", "b"]), random.pick(&["+1", "-1", "+2"]));
                let length = random.pick(&["0", "1", "2", "3", "null"]);
                lines.push_str(&format!("{weight} {key} {length}\n"));
                match length.parse::<i64>() {
                    Ok(n) => (1..=n).for_each(|x| expected.push_str(&format!("{weight} {key} {x}\n"))),
                    Err(_) if seed % 2 == 0 => expected.push_str(&format!("{weight} {key} null\n")),
                    Err(_) => {}
                }
            }
            let expected = print(&parse(&unnest.schema(), &expected).unwrap()).unwrap();
            assert_eq!(step(&mut unnest, &lines), expected, "seed {seed}");
        }
    }
}
