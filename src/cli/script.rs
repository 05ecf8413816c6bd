//! Statements without a prompt: `-c`, `-f`, `run`, `.read` and a pipe.
//!
//! Results go to standard output in the order of their statements, errors to standard error. A pipe is run as it
//! arrives, so that a program can write a statement, read its result and go on.

use std::io::{self, BufRead};
use std::path::Path;

use millstream::sql::split::Splitter;
use millstream::{Error, Result};

use super::args::Script;
use super::shell::{Next, Shell};

/// What errors call the text of a `-c`.
const COMMAND_LINE: &str = "-c";

/// What errors call the text of a pipe.
const STDIN: &str = "stdin";

/// What some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Runs the scripts in order.
pub fn run(shell: &mut Shell, scripts: &[Script]) -> Next {
    for script in scripts {
        let next = match script {
            Script::Text(text) => run_text(shell, text, COMMAND_LINE),
            Script::File(file) => match text_of(file) {
                Ok(text) => run_text(shell, &text, &file.display().to_string()),
                Err(error) => shell.fail(&error, None, None),
            },
        };
        if next != Next::Go {
            return next;
        }
    }
    Next::Go
}

/// Runs the statements of a text.
pub fn run_text(shell: &mut Shell, text: &str, origin: &str) -> Next {
    let mut splitter = Splitter::with_commands();
    splitter.push(text);
    splitter.end();
    run_pieces(shell, &mut splitter, origin)
}

/// Runs the statements of standard input, each as soon as its end was read.
pub fn run_stdin(shell: &mut Shell) -> Next {
    let mut splitter = Splitter::with_commands();
    let mut lines = Lines { input: io::stdin().lock(), read: 0 };
    loop {
        let (text, next) = shell.while_reading(|| lines.next());
        if next != Next::Go {
            return next;
        }
        match text {
            Ok(Some(text)) => splitter.push(&text),
            Ok(None) => {
                splitter.end();
                return run_pieces(shell, &mut splitter, STDIN);
            }
            Err(error) => {
                shell.fail(&error, None, None);
                return Next::Stop;
            }
        }
        let next = run_pieces(shell, &mut splitter, STDIN);
        if next != Next::Go {
            return next;
        }
    }
}

fn run_pieces(shell: &mut Shell, splitter: &mut Splitter, origin: &str) -> Next {
    loop {
        let next = match splitter.next_piece() {
            Ok(Some(piece)) => shell.run(&piece, Some(origin)),
            Ok(None) => return Next::Go,
            Err(error) => {
                shell.fail(&error, None, None);
                return Next::Stop;
            }
        };
        if next != Next::Go {
            return next;
        }
    }
}

/// The text of a file of statements.
///
/// # Errors
/// [`Error::Io`] with the file's name; [`Error::Input`] when it is not UTF-8.
pub fn text_of(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).map_err(|e| Error::io("reading", file, &e))?;
    let text = String::from_utf8(bytes).map_err(|e| not_utf8(&file.display(), e.utf8_error().valid_up_to() as u64))?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_string))
}

fn not_utf8(name: &dyn std::fmt::Display, position: u64) -> Error {
    Error::input(format!("{name} is not UTF-8 at byte {position}"))
}

/// As many whole lines as there are to read without waiting; at least one.
struct Lines<R> {
    input: R,
    /// Bytes read so far.
    read: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        loop {
            let waiting = self.input.fill_buf().map_err(|e| Error::io("reading", Path::new(STDIN), &e))?;
            let end = waiting.iter().rposition(|b| *b == b'\n');
            let taken = end.map_or(waiting.len(), |at| at + 1);
            bytes.extend_from_slice(&waiting[..taken]);
            self.input.consume(taken);
            if end.is_some() || taken == 0 {
                break;
            }
        }
        if self.read == 0 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
            self.read = BYTE_ORDER_MARK.len() as u64;
        }
        let before = self.read;
        self.read += bytes.len() as u64;
        let text = String::from_utf8(bytes);
        let text = text.map_err(|e| not_utf8(&STDIN, before + e.utf8_error().valid_up_to() as u64))?;
        Ok((!text.is_empty()).then_some(text))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_come_whole() {
        let input = "ab\ncd\nefghijklm\nrest".as_bytes();
        let mut lines = Lines { input: BufReader::with_capacity(7, input), read: 0 };
        let mut seen = Vec::new();
        while let Some(text) = lines.next().unwrap() {
            seen.push(text);
        }
        assert_eq!(seen, ["ab\ncd\n", "efghijklm\n", "rest"]);
    }

    #[test]
    fn what_is_not_utf8_is_named() {
        let mut lines = Lines { input: &b"ok\n"[..], read: 0 };
        assert_eq!(lines.next().unwrap(), Some("ok\n".into()));
        lines.input = &b"a\xff\n"[..];
        assert_eq!(lines.next().unwrap_err().to_string(), "stdin is not UTF-8 at byte 4");
    }
}
