//! The prompt: reads lines until they make a statement, runs it, and shows changes above the line being typed.

mod complete;
mod highlight;
mod hint;
mod words;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use millstream::sql::split::Splitter;
use millstream::{Database, Error};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::shell::{Next, Shell};
use complete::Names;

const PROMPT: &str = "millstream> ";
const PROMPT_CONTINUED: &str = "      ...> ";

/// The most statements the history file keeps.
const HISTORY_ENTRIES_MAX: usize = 10_000;

/// The environment variable that names the history file.
const HISTORY_VARIABLE: &str = "MILLSTREAM_HISTORY";

/// Reads and runs until the user leaves. `place` says where changes are kept.
pub fn run(shell: &mut Shell, place: &str) -> Next {
    println!("Millstream {}. `.help` lists the commands, Ctrl-D leaves.\n{place}", env!("CARGO_PKG_VERSION"));
    let history = history_file();
    match converse(shell, history) {
        Ok(()) => Next::Quit,
        Err(error) => shell.fail(&Error::input(format!("cannot read from the terminal: {error}")), None, None),
    }
}

fn converse(shell: &mut Shell, history: Option<PathBuf>) -> rustyline::Result<()> {
    let config = Config::builder()
        .max_history_size(HISTORY_ENTRIES_MAX)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor: Editor<Assistant, DefaultHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Assistant::new(shell.database.clone())));
    if let Some(file) = &history {
        // A first start has no history yet.
        let _ = editor.load_history(file);
    }
    let mut input = Input::default();
    loop {
        let prompt = if input.text.is_empty() { PROMPT } else { PROMPT_CONTINUED };
        match editor.readline(prompt) {
            Ok(line) => input.push(&line),
            Err(ReadlineError::Interrupted) => input = Input::default(),
            Err(ReadlineError::Eof) => break,
            Err(ReadlineError::Signal(_)) => continue,
            Err(error) => return Err(error),
        }
        let next = input.run(shell, &mut editor)?;
        if let Some(assistant) = editor.helper_mut() {
            assistant.before.clone_from(&input.text);
        }
        if next == Next::Quit {
            break;
        }
    }
    if let Some(file) = &history {
        // A history that cannot be written is not worth an error at every exit.
        let _ = file.parent().map(std::fs::create_dir_all);
        let _ = editor.append_history(file);
    }
    Ok(())
}

/// What was typed and not run yet.
struct Input {
    /// The lines of the statement that has begun.
    text: String,
    splitter: Splitter,
}

impl Default for Input {
    fn default() -> Self {
        Input { text: String::new(), splitter: Splitter::with_commands() }
    }
}

impl Input {
    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.splitter.push(line);
        self.splitter.push("\n");
    }

    /// Runs what is complete; an error stops what was typed on the same lines after it.
    fn run(&mut self, shell: &mut Shell, editor: &mut Editor<Assistant, DefaultHistory>) -> rustyline::Result<Next> {
        let mut next = Next::Go;
        let mut ran = false;
        while next == Next::Go {
            next = match self.splitter.next_piece() {
                Ok(Some(piece)) => {
                    ran = true;
                    shell.run(&piece, None)
                }
                Ok(None) => break,
                Err(error) => {
                    shell.fail(&error, None, None);
                    Next::Stop
                }
            };
            for subscription in shell.take_subscriptions() {
                let style = shell.style().clone();
                shell.followers.add(subscription, style, editor.create_external_printer()?);
            }
        }
        let over = next != Next::Go || !self.splitter.pending();
        if over || ran {
            editor.add_history_entry(self.text.trim_end())?;
        }
        if over {
            *self = Input::default();
        }
        Ok(next)
    }
}

/// `MILLSTREAM_HISTORY`, or the place for such files by the XDG rules.
fn history_file() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os(HISTORY_VARIABLE) {
        return (!file.is_empty()).then(|| file.into());
    }
    let state = match std::env::var_os("XDG_STATE_HOME").filter(|s| !s.is_empty()) {
        Some(state) => PathBuf::from(state),
        None => std::env::home_dir()?.join(".local").join("state"),
    };
    Some(state.join("millstream").join("history"))
}

/// Helps with the line being typed.
struct Assistant {
    database: Arc<Database>,
    /// The lines of the statement before this one.
    before: String,
    colours: bool,
}

impl Assistant {
    fn new(database: Arc<Database>) -> Self {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Assistant { database, before: String::new(), colours }
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let names = Names { relations: self.database.relations(), functions: self.database.functions() };
        complete::complete(&names, &self.before, line, pos)
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
        hint::hint(&self.before, line, pos, context)
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.colours { Cow::Owned(highlight::highlight(&self.before, line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colours { Cow::Owned(highlight::prompt(prompt)) } else { Cow::Borrowed(prompt) }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colours { Cow::Owned(highlight::faint(hint)) } else { Cow::Borrowed(hint) }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.colours && kind != CmdKind::MoveCursor
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}
