//! The program `millstream`: arguments, then a prompt or a script, then an exit code.
//!
//! ```text
//! args -> shell -> repl (a person) | script (-c, -f, run, a pipe) -> output -> render
//!                       \ command (.mode, .read, ...)              \ report (errors, with a caret)
//! ```

mod args;
mod attend;
mod clock;
mod command;
mod follow;
mod interrupt;
mod offline;
mod output;
mod render;
mod repl;
mod report;
mod script;
mod shell;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use millstream::{Database, Options};
use tracing_subscriber::EnvFilter;

use args::{Arguments, Command, Look, Script};
use interrupt::Mode;
use render::Style;
use shell::{Next, Shell};

/// The environment variable that says what is logged to standard error.
const LOG_VARIABLE: &str = "MILLSTREAM_LOG";

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).init();
    ExitCode::from(dispatch(arguments))
}

fn dispatch(arguments: Arguments) -> u8 {
    match arguments.command {
        Some(Command::Query { archive, sql, look, memory_limit }) => {
            offline::query(&archive, &sql, memory_limit, look.style())
        }
        Some(Command::Run { files, database, look, opening }) => {
            let files: Vec<Script> = files.into_iter().map(Script::File).collect();
            let progress = io::stderr().is_terminal();
            with_shell(opening.options(database, false), &look, Mode::Script, progress, |shell| {
                script::run(shell, &files)
            })
        }
        None => {
            let Arguments { database, look, opening, readonly, scripts, .. } = arguments;
            let options = opening.options(database.clone(), readonly);
            if !scripts.is_empty() {
                with_shell(options, &look, Mode::Script, false, |shell| script::run(shell, &scripts))
            } else if io::stdin().is_terminal() {
                let durability = format!("{:?}", options.durability).to_lowercase();
                let place = place(database, &durability, readonly);
                with_shell(options, &look, Mode::Prompt, false, |shell| repl::run(shell, &place))
            } else {
                with_shell(options, &look, Mode::Script, false, script::run_stdin)
            }
        }
    }
}

/// The second line of the banner: where changes are kept.
fn place(database: Option<PathBuf>, durability: &str, readonly: bool) -> String {
    match database {
        None => "In memory: nothing is kept; `millstream DATABASE` keeps it in a folder.".to_string(),
        Some(path) if readonly => format!("Database {}, read-only.", path.display()),
        Some(path) => format!("Database {}, durability {durability}.", path.display()),
    }
}

/// Opens the database, does the work, waits for what a script has begun, and closes.
fn with_shell(options: Options, look: &Look, mode: Mode, progress: bool, work: impl FnOnce(&mut Shell) -> Next) -> u8 {
    let place = options.path.clone();
    let database = match Database::open_with(options) {
        Ok(database) => database,
        Err(error) => {
            report::say(&report::plain(&error));
            return error.exit_code();
        }
    };
    let mut shell = Shell::new(database, place, look.style(), mode, progress);
    if work(&mut shell) == Next::Go && mode == Mode::Script {
        shell.finish();
    }
    shell.close()
}

impl Look {
    fn style(&self) -> Style {
        Style { format: self.format, null: self.nullvalue.clone(), screen: None }
    }
}
