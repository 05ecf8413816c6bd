//! Where results go: standard output or a file, in the chosen style.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use comfy_table::Table;
use millstream::{Error, Rows, Update};

use super::interrupt::Interrupt;
use super::render::{self, Failure, Header, Screen, Style};
use super::report;

/// The printer of results.
pub struct Output {
    /// How results look.
    pub style: Style,
    /// Standard output, if it is a terminal.
    screen: Option<Screen>,
    out: BufWriter<Sink>,
    /// The view whose change was printed last, if nothing else was since: its header is still in sight.
    last: Option<String>,
}

/// A file or standard output; stops when Ctrl-C was pressed.
struct Sink {
    file: Option<(PathBuf, File)>,
    interrupt: Interrupt,
}

impl Output {
    /// Standard output.
    pub fn new(style: Style, interrupt: Interrupt) -> Output {
        let screen = screen();
        let out = BufWriter::new(Sink { file: None, interrupt });
        Output { style: Style { screen, ..style }, screen, out, last: None }
    }

    /// Sends what follows to a file, or back to standard output.
    pub fn redirect(&mut self, file: Option<&Path>) -> Result<(), Failure> {
        self.out.flush()?;
        let sink = self.out.get_mut();
        sink.file = match file {
            Some(path) => {
                let file = File::create(path).map_err(|e| Error::io("creating", path, &e))?;
                Some((path.to_path_buf(), file))
            }
            None => None,
        };
        self.style.screen = if sink.file.is_none() { self.screen } else { None };
        self.last = None;
        Ok(())
    }

    /// Prints a result.
    pub fn rows(&mut self, rows: &Rows) -> Result<(), Failure> {
        self.last = None;
        render::write(&mut self.out, rows, &self.style, Header::Shown)?;
        self.flush()
    }

    /// Prints a line.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.last = None;
        writeln!(self.out, "{text}")?;
        self.flush()
    }

    /// Prints a change of a view; what was missed or failed goes to standard error.
    pub fn change(&mut self, view: &str, change: Update) -> Result<(), Failure> {
        let (rows, note) = read_change(view, change)?;
        if let Some(note) = note {
            report::say(&format!("{note}\n"));
        }
        let Some(rows) = rows else { return Ok(()) };
        let header = if self.last.as_deref() == Some(view) { Header::Continued } else { Header::Shown };
        render::write(&mut self.out, &rows, &self.style, header)?;
        self.last = Some(view.to_string());
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// The error for the user behind a failure, or `None` where nobody reads standard output any more.
    pub fn explain(&mut self, failure: Failure) -> Option<Error> {
        let error = match failure {
            Failure::Value(error) => return Some(error),
            Failure::Io(error) => error,
        };
        let file = self.out.get_ref().file.as_ref().map(|(path, _)| path.clone());
        match (file, error.downcast::<Error>()) {
            (_, Ok(own)) => Some(own),
            (None, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => None,
            (file, Err(error)) => {
                let file = file.unwrap_or_else(|| PathBuf::from("standard output"));
                Some(Error::io("writing", &file, &error))
            }
        }
    }

    /// Forgets what could not be written.
    pub fn discard(&mut self) {
        let sink = Sink { file: None, interrupt: self.out.get_ref().interrupt.clone() };
        let (old, _) = std::mem::replace(&mut self.out, BufWriter::new(sink)).into_parts();
        *self.out.get_mut() = old;
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.interrupt.raised() {
            return Err(io::Error::other(Error::Cancelled));
        }
        match &mut self.file {
            Some((_, file)) => file.write(bytes),
            None => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            Some((_, file)) => file.flush(),
            None => io::stdout().flush(),
        }
    }
}

/// A change as rows (`_offset`, `_weight`, then the view's columns), and as remarks on what rows cannot say.
///
/// # Errors
/// When Arrow cannot put the columns together.
pub fn read_change(view: &str, change: Update) -> millstream::Result<(Option<Rows>, Option<String>)> {
    let note = match change {
        Update::Snapshot { offset, batch } => {
            let ones = vec![1; batch.num_rows()];
            return Ok((Some(weighted(offset, &batch, ones)?), None));
        }
        Update::Delta { offset, delta } => {
            let weights = delta.weights.to_vec(delta.len());
            return Ok((Some(weighted(offset, &delta.batch, weights)?), None));
        }
        Update::Patches { offset, batch } => return Ok((Some(with_ours(offset, &batch, None)?), None)),
        Update::Missed { from, to } => {
            format!("warning: view `{view}`: the changes of offsets {from} to {to} were missed")
        }
        Update::Failing { offset, reason } => {
            format!("warning: view `{view}` cannot be read from offset {offset} on: {reason}")
        }
        Update::Healed { offset } => format!("note: view `{view}` can be read again from offset {offset} on"),
    };
    Ok((None, Some(note)))
}

fn weighted(offset: u64, batch: &RecordBatch, weights: Vec<i64>) -> millstream::Result<Rows> {
    with_ours(offset, batch, Some(Arc::new(Int64Array::from(weights))))
}

/// Rows behind their offset, and their weights where they have some.
fn with_ours(offset: u64, batch: &RecordBatch, weights: Option<ArrayRef>) -> millstream::Result<Rows> {
    let old = batch.schema();
    let weight = weights.is_some().then(|| Field::new("_weight", DataType::Int64, false));
    let ours = [Field::new("_offset", DataType::UInt64, false)].into_iter().chain(weight);
    let fields = ours.map(Arc::new).chain(old.fields().iter().cloned());
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let offsets: ArrayRef = Arc::new(UInt64Array::from_value(offset, batch.num_rows()));
    let columns = [offsets].into_iter().chain(weights).chain(batch.columns().iter().cloned()).collect();
    Ok(Rows { schema: schema.clone(), batches: vec![RecordBatch::try_new(schema, columns)?] })
}

/// The terminal on standard output.
pub fn screen() -> Option<Screen> {
    /// Where the terminal does not say how wide it is.
    const WIDTH_DEFAULT: u16 = 80;
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let locale = locale.unwrap_or_default().to_uppercase();
    io::stdout().is_terminal().then(|| Screen {
        width: Table::new().width().unwrap_or(WIDTH_DEFAULT),
        utf8: locale.contains("UTF-8") || locale.contains("UTF8"),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use millstream::delta::Delta;

    use super::*;

    #[test]
    fn a_change_has_its_offset_and_weights() {
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let batch = RecordBatch::try_from_iter([("name", names)]).unwrap();
        let delta = Delta::new(batch, vec![-1, 2]);
        let (rows, note) = read_change("v", Update::Delta { offset: 7, delta }).unwrap();
        let mut out = Vec::new();
        let style = Style { format: render::Format::Csv, ..Style::default() };
        assert!(render::write(&mut out, &rows.unwrap(), &style, Header::Shown).is_ok());
        assert_eq!(String::from_utf8(out).unwrap(), "_offset,_weight,name\n7,-1,a\n7,2,b\n");
        assert_eq!(note, None);
        let (_, note) = read_change("v", Update::Failing { offset: 8, reason: "division by zero".into() }).unwrap();
        assert_eq!(note.as_deref(), Some("warning: view `v` cannot be read from offset 8 on: division by zero"));
    }
}
