//! Heartbeats: watermarks that move without a row of their stream, as commits of their own.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, cast};
use datafusion::sql::sqlparser::ast;

use super::catalog::Object;
use super::constraint::NoNames;
use super::database::Database;
use super::request::{Change, Commit};
use super::session::Outcome;
use super::system::{HEARTBEATS, heartbeats_schema};
use crate::delta::Delta;
use crate::error::{Error, Result};
use crate::sql::bind::Binder;
use crate::sql::expr::simplify;

/// ALTER STREAM ... ADVANCE WATERMARK TO.
pub(super) fn advance(database: &Database, stream: &str, to: ast::Expr) -> Result<Outcome> {
    let object = database.catalog().expect(stream)?.clone();
    if object.event_time.is_none() {
        let error = Error::input(format!("{} `{stream}` has no watermark", object.kind.name()));
        return Err(error.with_hint("CREATE STREAM declares one: WATERMARK FOR ts AS ts - INTERVAL '5' SECOND"));
    }
    let (session, empty) = (database.inner().view_session.load_full(), DFSchema::empty());
    let bound = Binder::new(&session, &NoNames).expression(to.clone(), &empty)?;
    let bound = simplify(&session, cast(bound, DataType::Timestamp(TimeUnit::Microsecond, None)), &empty)?;
    let Expr::Literal(ScalarValue::TimestampMicrosecond(Some(moment), _), _) = bound else {
        return Err(Error::input(format!("ADVANCE WATERMARK TO {to}: not a moment")));
    };
    database.commit(heartbeat(&object, moment)?).wait()?;
    Ok(Outcome::done("ALTER STREAM"))
}

/// The commit that moves a stream's watermark, if it is not there yet.
///
/// # Errors
/// Never, short of a bug.
pub fn heartbeat(stream: &Object, watermark: i64) -> Result<Commit> {
    let batch = row(Some(stream), watermark);
    Ok(Commit { changes: vec![Change::Events { object: HEARTBEATS, batch }], ..Commit::default() })
}

/// The heartbeat of the clock: no stream's watermark, but the time to which it has come.
pub fn beat(time: i64) -> Delta {
    Delta::insert(row(None, time))
}

fn row(stream: Option<&Object>, moment: i64) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![stream.map(|stream| stream.name.as_str())])),
        Arc::new(Int64Array::from(vec![stream.map(|stream| i64::from(stream.id))])),
        Arc::new(TimestampMicrosecondArray::from(vec![moment])),
    ];
    RecordBatch::try_new(heartbeats_schema(), columns).expect("the columns are those of the schema")
}
