//! What the prompt and scripts share: a session, where results go, and what the dot-commands change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use millstream::sql::split::{Kind, Piece};
use millstream::{Database, Error, Outcome, Relation, Rows, Session, Subscription};

use super::attend::{Feed, attend};
use super::clock;
use super::command::{self, COMMANDS, Command};
use super::follow::Followers;
use super::interrupt::{EXIT_INTERRUPTED, Interrupt, Mode};
use super::output::Output;
use super::render::{Failure, Style};
use super::{report, script};

/// The deepest that files may `.read` each other.
const READ_DEPTH_MAX: usize = 16;

/// Whether to go on after a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next statement, please.
    Go,
    /// An error ended the script.
    Stop,
    /// The user wants to leave, or nobody reads the results.
    Quit,
}

/// The state of the program.
pub struct Shell {
    /// The database.
    pub database: Arc<Database>,
    /// The database's folder; nowhere in memory.
    place: Option<PathBuf>,
    session: Session,
    output: Output,
    /// Subscriptions whose changes this thread prints between statements.
    feed: Feed,
    /// Subscriptions whose changes appear above the prompt.
    pub followers: Followers,
    interrupt: Interrupt,
    mode: Mode,
    /// Whether sources' progress is drawn while a statement waits for them.
    progress: bool,
    timer: bool,
    bail: bool,
    depth: usize,
    /// The exit code of the first error that counts.
    failed: Option<u8>,
}

impl Shell {
    /// A shell on a database. Scripts wait for the finite sources; people do not.
    pub fn new(database: Database, place: Option<PathBuf>, style: Style, mode: Mode, progress: bool) -> Shell {
        let interrupt = Interrupt::install(mode);
        let mut session = database.session();
        session.set_wait_for_sources(mode == Mode::Script);
        Shell {
            database: Arc::new(database),
            place,
            session,
            output: Output::new(style, interrupt.clone()),
            feed: Feed::default(),
            followers: Followers::default(),
            interrupt,
            mode,
            progress,
            timer: false,
            bail: true,
            depth: 0,
            failed: None,
        }
    }

    /// Runs one piece of a text. `origin` names the text in errors; at the prompt it has no name.
    pub fn run(&mut self, piece: &Piece, origin: Option<&str>) -> Next {
        match piece.kind {
            Kind::Command => match command::parse(piece.text()) {
                Ok(command) => self.command(command, piece, origin),
                Err(error) => self.fail(&error, Some(piece), origin),
            },
            Kind::Statement => self.statement(piece, origin),
        }
    }

    fn statement(&mut self, piece: &Piece, origin: Option<&str>) -> Next {
        let started = clock::start();
        let interrupt = self.interrupt.clone();
        let cancel = self.session.cancel();
        let _running = interrupt.running(cancel.clone());
        let progress = self.progress.then_some(&*self.database);
        let (outcome, printed) =
            attend(&mut self.feed, &mut self.output, progress, &cancel, || self.session.execute(piece.text()));
        let seconds = started.elapsed().as_secs_f64();
        let next = match (printed, outcome) {
            (Err(failure), _) => self.fail_to_print(failure, piece, origin),
            (Ok(()), Err(error)) => self.fail(&error, Some(piece), origin),
            (Ok(()), Ok(outcome)) => self.outcome(outcome, piece, origin),
        };
        if self.timer {
            report::say(&format!("time: {seconds:.3} s\n"));
        }
        next
    }

    fn outcome(&mut self, outcome: Outcome, piece: &Piece, origin: Option<&str>) -> Next {
        let printed = match outcome {
            Outcome::Rows(rows) => self.output.rows(&rows),
            Outcome::Done { tag } if self.mode == Mode::Prompt && self.depth == 0 => self.output.line(&tag),
            Outcome::Done { .. } => Ok(()),
            Outcome::Subscribed(subscription) => {
                self.feed.add(subscription);
                Ok(())
            }
            Outcome::Verified { rows, ok } => match self.output.rows(&rows) {
                Ok(()) if !ok => Err(Error::input("a view differs from its query").into()),
                printed => printed,
            },
        };
        // At the prompt, a thread prints the changes.
        let at_prompt = self.mode == Mode::Prompt && self.depth == 0;
        let printed = printed.and_then(|()| if at_prompt { Ok(()) } else { self.print_changes() });
        match printed {
            Ok(()) => Next::Go,
            Err(failure) => self.fail_to_print(failure, piece, origin),
        }
    }

    fn print_changes(&mut self) -> Result<(), Failure> {
        while self.feed.turn(&mut self.output)? {}
        Ok(())
    }

    /// Waits until the finite sources are at their end and prints what subscriptions still bring.
    pub fn finish(&mut self) -> Next {
        let interrupt = self.interrupt.clone();
        let cancel = self.session.cancel();
        let _running = interrupt.running(cancel.clone());
        let progress = self.progress.then_some(&*self.database);
        let database = &self.database;
        let (waited, printed) =
            attend(&mut self.feed, &mut self.output, progress, &cancel, || database.wait_for_sources(&cancel));
        if let Err(failure) = printed.and_then(|()| self.print_changes()) {
            return self.fail_to_write(failure);
        }
        if let Err(error) = waited {
            return self.fail(&error, None, None);
        }
        if self.session.in_transaction() {
            let error = Error::input("the script ended within a transaction, which is rolled back");
            return self.fail(&error.with_hint("COMMIT makes its changes"), None, None);
        }
        Next::Go
    }

    /// Reads input while changes of subscribed views are printed.
    pub fn while_reading<R>(&mut self, read: impl FnOnce() -> R) -> (R, Next) {
        let cancel = self.session.cancel();
        let (read, printed) = attend(&mut self.feed, &mut self.output, None, &cancel, read);
        let next = match printed {
            Ok(()) => Next::Go,
            Err(failure) => self.fail_to_write(failure),
        };
        (read, next)
    }

    fn command(&mut self, command: Command, piece: &Piece, origin: Option<&str>) -> Next {
        let done = match command {
            Command::Quit => return Next::Quit,
            Command::Read(file) => return self.read(Path::new(&file), piece, origin),
            Command::Mode(Some(format)) => {
                self.output.style.format = format;
                Ok(())
            }
            Command::Mode(None) => {
                let name = self.output.style.format.name();
                self.output.line(&name)
            }
            Command::NullValue(text) => {
                self.output.style.null = Some(text);
                Ok(())
            }
            Command::Timer(on) => {
                self.timer = on;
                Ok(())
            }
            Command::Bail(on) => {
                self.bail = on;
                Ok(())
            }
            Command::Output(file) => self.output.redirect(file.map(PathBuf::from).as_deref()),
            Command::Print(text) => self.output.line(&self.filled_in(&text)),
            Command::Help => self.output.line(&help()),
            Command::Tables => self.tables(),
            Command::Schema(name) => self.schema(name.as_deref()),
            Command::Unsubscribe(view) => self.unsubscribe(view.as_deref()),
        };
        match done {
            Ok(()) => Next::Go,
            Err(failure) => self.fail_to_print(failure, piece, origin),
        }
    }

    /// The text with the database's folder for `:DATABASE`.
    fn filled_in(&self, text: &str) -> String {
        match &self.place {
            Some(place) => text.replace(":DATABASE", &place.display().to_string()),
            None => text.to_string(),
        }
    }

    fn tables(&mut self) -> Result<(), Failure> {
        let relations = self.session.relations();
        let column = |text: fn(&Relation) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(relations.iter().map(text)))
        };
        let batch = RecordBatch::try_from_iter([("name", column(|r| &r.name)), ("kind", column(|r| &r.kind))])
            .map_err(Error::from)?;
        self.output.rows(&Rows { schema: batch.schema(), batches: vec![batch] })
    }

    fn schema(&mut self, name: Option<&str>) -> Result<(), Failure> {
        let relations = self.session.relations();
        let mut shown = relations.iter().filter(|r| name.is_none_or(|n| r.name.eq_ignore_ascii_case(n))).peekable();
        if let (Some(name), None) = (name, shown.peek()) {
            let error = Error::input(format!("no stream, table or view `{name}`"));
            return Err(match millstream::error::nearest(name, relations.iter().map(|r| r.name.as_str())) {
                Some(candidate) => error.with_hint(format!("did you mean `{candidate}`?")),
                None => error.with_hint("`.tables` lists them"),
            }
            .into());
        }
        for relation in shown {
            self.output.line(&format!("{};", relation.sql.trim_end().trim_end_matches(';')))?;
        }
        Ok(())
    }

    fn unsubscribe(&mut self, view: Option<&str>) -> Result<(), Failure> {
        let (fed, followed) = (self.feed.remove(view), self.followers.remove(view));
        match view {
            Some(view) if !fed && !followed => Err(Error::input(format!("no subscription to `{view}`")).into()),
            _ => Ok(()),
        }
    }

    /// `.read`: the errors of the file name the file.
    fn read(&mut self, file: &Path, piece: &Piece, origin: Option<&str>) -> Next {
        if self.depth == READ_DEPTH_MAX {
            let error = Error::Limit(format!("files that `.read` each other go no deeper than {READ_DEPTH_MAX}"));
            return self.fail(&error, Some(piece), origin);
        }
        let text = match script::text_of(file) {
            Ok(text) => text,
            Err(error) => return self.fail(&error, Some(piece), origin),
        };
        self.depth += 1;
        let next = script::run_text(self, &text, &file.display().to_string());
        self.depth -= 1;
        next
    }

    /// Reports an error and says whether the script goes on.
    pub fn fail(&mut self, error: &Error, piece: Option<&Piece>, origin: Option<&str>) -> Next {
        let text = match piece {
            Some(piece) => report::in_statement(error, piece, origin),
            None => report::plain(error),
        };
        report::say(&text);
        // A person has seen the error of a statement and goes on; a program asks for the exit code.
        if self.mode == Mode::Script || piece.is_none() {
            let code = if matches!(error, Error::Cancelled) { EXIT_INTERRUPTED } else { error.exit_code() };
            self.failed.get_or_insert(code);
        }
        if self.bail { Next::Stop } else { Next::Go }
    }

    fn fail_to_print(&mut self, failure: Failure, piece: &Piece, origin: Option<&str>) -> Next {
        self.output.discard();
        match self.output.explain(failure) {
            Some(error) => self.fail(&error, Some(piece), origin),
            None => Next::Quit,
        }
    }

    fn fail_to_write(&mut self, failure: Failure) -> Next {
        self.output.discard();
        match self.output.explain(failure) {
            Some(error) => self.fail(&error, None, None),
            None => Next::Quit,
        }
    }

    /// The subscriptions made since the last call.
    pub fn take_subscriptions(&mut self) -> Vec<Subscription> {
        self.feed.take()
    }

    /// How results look now.
    pub fn style(&self) -> &Style {
        &self.output.style
    }

    /// Closes the database; the exit code is that of the first error.
    pub fn close(mut self) -> u8 {
        self.feed.take();
        drop(self.session);
        let closed = match Arc::try_unwrap(self.database) {
            Ok(database) => database.close(),
            Err(_) => Ok(()),
        };
        if let Err(error) = closed {
            report::say(&report::plain(&error));
            self.failed.get_or_insert(error.exit_code());
        }
        self.failed.unwrap_or(0)
    }
}

fn help() -> String {
    let usage = |u: &command::Usage| format!("{} {}", u.name, u.argument).trim_end().to_string();
    let width = COMMANDS.iter().map(|u| usage(u).len()).max().unwrap_or(0);
    let lines: Vec<String> = COMMANDS.iter().map(|u| format!("{:width$}  {}", usage(u), u.help)).collect();
    lines.join("\n")
}
