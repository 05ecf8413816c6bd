//! Records that were cut from a window of text: rows of the target, or rejects.

use arrow::array::{ArrayRef, RecordBatch};

use super::convert::conform;
use super::{Reject, Target, reject_text};
use crate::error::Result;

/// Where a record lies in the window, and its place in the file: a line, or its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) place: u64,
}

/// The records that lie at `spans` of `bytes`, whose columns are `raw`, as rows; those that are none join the rejects,
/// which come back in the order of the file.
pub(super) fn rows(
    path: &str,
    raw: &[Option<ArrayRef>],
    (bytes, spans): (&[u8], &[Span]),
    target: &Target,
    mut rejects: Vec<Reject>,
) -> Result<(RecordBatch, Vec<Reject>)> {
    let (batch, faults) = conform(raw, spans.len(), target)?;
    for (row, reason) in faults {
        let span = spans[row];
        rejects.push(reject(path, span.place, reason, &bytes[span.start..span.end]));
    }
    rejects.sort_by_key(|reject| reject.position);
    Ok((batch, rejects))
}

/// A record that is no row.
pub(super) fn reject(path: &str, position: u64, reason: String, record: &[u8]) -> Reject {
    Reject { file: path.to_owned(), position, reason, text: reject_text(record.trim_ascii_end()) }
}
