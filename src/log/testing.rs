//! Small records for the tests of log and archive: stream 1 has one column of numbers.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, StringViewArray, StructArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use super::{Group, Offset, Part, PartRows, Record, Run, Segment, Statement};
use crate::delta::Delta;

/// The one column.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

/// A group from `first` with the numbers of some of its commits; commit times are offsets times 1000.
pub(crate) fn group(first: Offset, commits: &[(u32, &[i64])]) -> Group {
    let numbers: Vec<i64> = commits.iter().flat_map(|(_, n)| n.iter().copied()).collect();
    let last = commits.last().map_or(0, |(commit, _)| *commit);
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(numbers)) as ArrayRef]).unwrap();
    Group {
        first_offset: first,
        times: (0..=u64::from(last)).map(|i| (first + i) as i64 * 1000).collect(),
        parts: vec![Part {
            object: 1,
            runs: commits.iter().map(|(commit, n)| Run { commit: *commit, rows: n.len() as u32 }).collect(),
            rows: PartRows::Delta(Delta::insert(batch)),
        }],
        marks: Vec::new(),
    }
}

/// One commit with one number.
pub(crate) fn one(offset: Offset, number: i64) -> Record {
    Record::Rows(group(offset, &[(0, &[number])]))
}

pub(crate) fn statement(offset: Offset, text: &str) -> Record {
    Record::Statement(Statement { offset, time: offset as i64 * 1000, text: text.into() })
}

/// The rows of a record, as offset and number.
pub(crate) fn numbers(record: &Record) -> Vec<(i64, i64)> {
    let Record::Rows(group) = record else { return Vec::new() };
    let rows = group.parts.iter().flat_map(|part| {
        let delta = part.delta(&schema(), &Default::default()).unwrap();
        let numbers = delta.column(0).as_primitive::<Int64Type>().values().to_vec();
        part.offsets(group).values().to_vec().into_iter().zip(numbers)
    });
    rows.collect()
}

/// Everything in some segments, as offset and number; a statement is its offset and -1.
pub(crate) fn content(segments: &[Arc<Segment>]) -> Vec<(i64, i64)> {
    let records = segments.iter().flat_map(|s| s.records(0, Offset::MAX)).map(|r| r.unwrap());
    records
        .flat_map(|record| match &record {
            Record::Statement(s) => vec![(s.offset as i64, -1)],
            Record::Rows(_) => numbers(&record),
        })
        .collect()
}

/// Columns of many types, each with a NULL.
pub(crate) fn many_types() -> RecordBatch {
    let numbers = Int64Array::from(vec![Some(1), None, Some(3)]);
    let fields = vec![(Arc::new(Field::new("n", DataType::Int64, true)), Arc::new(numbers) as ArrayRef)];
    RecordBatch::try_from_iter([
        ("text", Arc::new(StringArray::from(vec![Some("a"), None, Some("")])) as ArrayRef),
        ("view", Arc::new(StringViewArray::from(vec![Some("longer than twelve bytes"), None, Some("b")]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\xff\x00"[..]), None, Some(b"")]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("float", Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(-0.0)]))),
        ("date", Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_000)]))),
        ("price", Arc::new(Decimal128Array::from(vec![Some(i128::MAX / 10), None, Some(-1)]))),
        ("time", Arc::new(TimestampNanosecondArray::from(vec![Some(1), None, Some(i64::MIN)]).with_timezone("UTC"))),
        ("nested", Arc::new(StructArray::from(fields))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([
                Some(vec![Some(1), None]),
                None,
                Some(vec![]),
            ])),
        ),
    ])
    .unwrap()
}

/// A commit with one batch of stream 1.
pub(crate) fn rows(offset: Offset, batch: RecordBatch) -> Record {
    let runs = vec![Run { commit: 0, rows: batch.num_rows() as u32 }];
    let parts = vec![Part { object: 1, runs, rows: PartRows::Delta(Delta::insert(batch)) }];
    Record::Rows(Group { first_offset: offset, times: vec![5], parts, marks: Vec::new() })
}
