//! Lookups by key beside scans: some keys of a view, those that are there and those that are not, are looked up with
//! prepared statements, and the rows compared with those that a scan of the view's rows finds.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use millstream::{Database, Outcome, Prepared, Value};

use super::bag::{Bag, bag, difference};

/// Keys that are looked up each time.
const KEYS: usize = 2;

/// A lookup by some columns of a view.
pub struct Lookup {
    columns: Vec<usize>,
    /// Made when it is first needed, and anew when the database was opened again.
    prepared: Option<Prepared>,
    /// How many keys it has looked up.
    turn: usize,
}

/// Lookups of a new view: by one column, with an index, and by all columns, which the view's own key is among, if it
/// has one. `turn` chooses the column.
pub fn lookups(database: &Database, view: &str, turn: usize) -> Result<Vec<Lookup>, String> {
    // A view that cannot be read says nothing of its columns.
    let Ok((_, rows)) = database.snapshot(view) else { return Ok(Vec::new()) };
    let fields = rows.schema.fields();
    let columns: Vec<usize> = (0..fields.len()).filter(|at| can_be_key(fields[*at].data_type())).collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let one = columns[turn % columns.len()];
    let create = format!("CREATE INDEX {view}_{one} ON {view} (\"{}\")", fields[one].name());
    database.execute(&format!("DROP INDEX IF EXISTS {view}_{one}")).map_err(|e| e.to_string())?;
    database.execute(&create).map_err(|e| format!("{create}: {e}"))?;
    let new = |columns: Vec<usize>| Lookup { columns, prepared: None, turn };
    Ok(vec![new(vec![one]), new(columns)])
}

fn can_be_key(data_type: &DataType) -> bool {
    !data_type.is_nested() && !matches!(data_type, DataType::Interval(_))
}

impl Lookup {
    /// Forgets what belongs to a database that is closed.
    pub fn close(&mut self) {
        self.prepared = None;
    }

    /// Looks up some keys.
    pub fn compare(&mut self, database: &Database, view: &str) -> Result<(), String> {
        let (_, rows) = database.snapshot(view).map_err(|e| e.to_string())?;
        let all = concat_batches(&rows.schema, &rows.batches).map_err(|e| e.to_string())?;
        if self.prepared.is_none() {
            self.prepared = Some(self.prepare(database, view, &all)?);
        }
        let prepared = self.prepared.as_ref().expect("just made");
        for _ in 0..KEYS.min(all.num_rows()) {
            self.turn += 1;
            // Each column from a row of its own makes keys that are not there.
            let row = |at: usize| (self.turn + if self.turn.is_multiple_of(2) { 0 } else { at * 7 }) % all.num_rows();
            let key: Vec<ArrayRef> =
                self.columns.iter().enumerate().map(|(at, c)| all.column(*c).slice(row(at), 1)).collect();
            let values: Vec<Value> = key.iter().map(|v| Value::try_from_array(v, 0).unwrap()).collect();
            let got = prepared.query(&values).map_err(|e| format!("a lookup in {view} of {values:?}: {e}"))?;
            let (expected, got) = (scan(database, prepared, &values)?, bag(&got.batches));
            if expected != got {
                let difference = difference(&expected, &got);
                return Err(format!("looking up {values:?} in {view} differs from a scan\n{difference}"));
            }
        }
        Ok(())
    }

    fn prepare(&self, database: &Database, view: &str, rows: &RecordBatch) -> Result<Prepared, String> {
        let schema = rows.schema();
        let equal = |(at, column): (usize, &usize)| format!("\"{}\" = ${}", schema.field(*column).name(), at + 1);
        let conditions: Vec<String> = self.columns.iter().enumerate().map(equal).collect();
        let sql = format!("SELECT * FROM {view} WHERE {}", conditions.join(" AND "));
        let prepared = database.prepare(&sql).map_err(|e| format!("{sql}: {e}"))?;
        match prepared.is_lookup() {
            Ok(true) => Ok(prepared),
            other => Err(format!("{sql} is no lookup: {other:?}")),
        }
    }
}

/// The rows that the batch engine finds when it looks at all of them, as it does within a transaction.
fn scan(database: &Database, prepared: &Prepared, values: &[Value]) -> Result<Bag, String> {
    let mut session = database.session();
    session.execute("BEGIN").map_err(|e| e.to_string())?;
    let rows = session.execute_prepared(prepared, values).and_then(Outcome::into_rows);
    rows.map(|rows| bag(&rows.batches)).map_err(|e| format!("a scan for {values:?}: {e}"))
}
