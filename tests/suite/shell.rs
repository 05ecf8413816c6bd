//! The program as its users meet it: run as a process, judged by what it prints and by its exit code.

mod adversarial;
mod archive;
mod errors;
mod language;
mod limits;
mod program;
mod types;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that any run may take.
const SECONDS_MAX: u64 = 120;

/// What a run came to.
#[derive(Debug)]
struct Run {
    out: String,
    err: String,
    code: i32,
}

/// A folder to run in.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Runs the program with these arguments and nothing on its standard input.
    fn run(&self, arguments: &[&str]) -> Run {
        self.feed(arguments, b"")
    }

    /// Runs statements in memory, as CSV.
    fn sql(&self, text: &str) -> Run {
        self.feed(&["--format", "csv"], text.as_bytes())
    }

    /// Runs the program with bytes on its standard input.
    fn feed(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut child = Command::new(env!("CARGO_BIN_EXE_millstream"))
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let id = child.id();
        let output: Output = thread::scope(|scope| {
            // The program may end before it has read everything.
            scope.spawn(move || stdin.write_all(input).is_ok());
            let waiting = scope.spawn(|| child.wait_with_output().unwrap());
            let started = Instant::now();
            while !waiting.is_finished() {
                assert!(started.elapsed() < Duration::from_secs(SECONDS_MAX), "process {id} hangs: {arguments:?}");
                thread::sleep(Duration::from_millis(5));
            }
            waiting.join().unwrap()
        });
        Run {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

impl Run {
    /// The standard output of a run without errors.
    #[track_caller]
    fn ok(&self) -> &str {
        assert_eq!((self.err.as_str(), self.code), ("", 0), "{}", self.out);
        &self.out
    }
}
