//! The shell's own commands: lines that start with a dot.

use clap::ValueEnum;
use millstream::error::nearest;
use millstream::{Error, Result};

use super::render::Format;

/// One command, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// List the commands.
    Help,
    /// List the relations.
    Tables,
    /// Show how a relation was declared, or all of them.
    Schema(Option<String>),
    /// Choose the format, or show which it is.
    Mode(Option<Format>),
    /// Choose the text of NULL.
    NullValue(String),
    /// Show how long statements take.
    Timer(bool),
    /// Run a file.
    Read(String),
    /// Send results to a file, or back to standard output.
    Output(Option<String>),
    /// Print a text.
    Print(String),
    /// Whether a script ends at the first error.
    Bail(bool),
    /// Stop the changes of one subscription, or of all.
    Unsubscribe(Option<String>),
    /// Leave.
    Quit,
}

/// What a command is called, what follows it and what it does.
pub struct Usage {
    /// The word, with its dot.
    pub name: &'static str,
    /// What follows it.
    pub argument: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// Every command.
pub const COMMANDS: [Usage; 13] = [
    Usage { name: ".bail", argument: "on|off", help: "Whether a script ends at its first error" },
    Usage { name: ".exit", argument: "", help: "Leave" },
    Usage { name: ".help", argument: "", help: "Show this list" },
    Usage {
        name: ".mode",
        argument: "[table|csv|tsv|json|ndjson|markdown|line]",
        help: "Choose how results are written, or show it",
    },
    Usage { name: ".nullvalue", argument: "TEXT", help: "Choose the text of NULL" },
    Usage { name: ".output", argument: "[FILE]", help: "Send results to a file, or back here" },
    Usage { name: ".print", argument: "TEXT", help: "Print a text among the results; `:DATABASE` is the folder" },
    Usage { name: ".quit", argument: "", help: "Leave" },
    Usage { name: ".read", argument: "FILE", help: "Run the statements of a file" },
    Usage { name: ".schema", argument: "[NAME]", help: "Show how streams, tables and views were declared" },
    Usage { name: ".tables", argument: "", help: "List the streams, tables and views" },
    Usage { name: ".timer", argument: "on|off", help: "Whether to show how long each statement takes" },
    Usage { name: ".unsubscribe", argument: "[VIEW]", help: "Stop the changes of a SUBSCRIBE, or of all" },
];

/// Reads one line.
///
/// # Errors
/// [`Error::Input`] with the nearest command, or with the shape of the command.
pub fn parse(line: &str) -> Result<Command> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let argument = (!rest.is_empty()).then(|| unquote(rest));
    let Some(usage) = COMMANDS.iter().find(|u| u.name == name) else {
        return Err(unknown(name));
    };
    let wrong = || Err(Error::input(format!("wrong use of `{name}`")).with_hint(shape(usage)));
    Ok(match (name, argument) {
        (".print", argument) => Command::Print(argument.unwrap_or_default()),
        (".help", _) => Command::Help,
        (".tables", None) => Command::Tables,
        (".schema", name) => Command::Schema(name),
        (".mode", None) => Command::Mode(None),
        (".mode", Some(word)) => Command::Mode(Some(format(&word)?)),
        (".nullvalue", Some(text)) => Command::NullValue(text),
        (".timer", Some(word)) if is_switch(&word) => Command::Timer(word == "on"),
        (".bail", Some(word)) if is_switch(&word) => Command::Bail(word == "on"),
        (".read", Some(file)) => Command::Read(file),
        (".output", file) => Command::Output(file),
        (".unsubscribe", view) => Command::Unsubscribe(view),
        (".quit" | ".exit", None) => Command::Quit,
        _ => return wrong(),
    })
}

/// How a command is written.
pub fn shape(usage: &Usage) -> String {
    format!("write `{}`", format!("{} {}", usage.name, usage.argument).trim_end())
}

fn is_switch(word: &str) -> bool {
    matches!(word, "on" | "off")
}

/// An argument may stand in quotes, to hold or to be blanks.
fn unquote(text: &str) -> String {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner.to_string();
        }
    }
    text.to_string()
}

fn unknown(name: &str) -> Error {
    let error = Error::input(format!("no command `{name}`"));
    match nearest(name, COMMANDS.iter().map(|u| u.name)) {
        Some(candidate) => error.with_hint(format!("did you mean `{candidate}`?")),
        None => error.with_hint("`.help` lists the commands"),
    }
}

fn format(word: &str) -> Result<Format> {
    Format::from_str(word, true).map_err(|_| {
        let names: Vec<String> = Format::value_variants().iter().map(|f| f.name()).collect();
        let error = Error::input(format!("no mode `{word}`"));
        match nearest(word, names.iter().map(String::as_str)) {
            Some(candidate) => error.with_hint(format!("did you mean `{candidate}`?")),
            None => error.with_hint(format!("the modes are {}", names.join(", "))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str) -> String {
        parse(line).unwrap_err().to_string()
    }

    #[test]
    fn commands_and_their_arguments() {
        assert_eq!(parse(".mode csv").unwrap(), Command::Mode(Some(Format::Csv)));
        assert_eq!(parse(".mode").unwrap(), Command::Mode(None));
        assert_eq!(parse(".nullvalue ''").unwrap(), Command::NullValue(String::new()));
        assert_eq!(parse(".nullvalue \" \"").unwrap(), Command::NullValue(" ".into()));
        assert_eq!(parse(".read a b.sql").unwrap(), Command::Read("a b.sql".into()));
        assert_eq!(parse(".print -- done --").unwrap(), Command::Print("-- done --".into()));
        assert_eq!(parse(".print").unwrap(), Command::Print(String::new()));
        assert_eq!(parse(".timer on;").unwrap(), Command::Timer(true));
        assert_eq!(parse(".bail  off ").unwrap(), Command::Bail(false));
        assert_eq!(parse(".exit").unwrap(), Command::Quit);
    }

    #[test]
    fn every_command_listed_is_known() {
        for usage in &COMMANDS {
            let first = usage.argument.trim_matches(['[', ']']).split('|').next().unwrap_or("");
            assert!(parse(&format!("{} {first}", usage.name)).is_ok(), "{}", usage.name);
        }
    }

    #[test]
    fn wrong_ones_say_what_is_right() {
        assert_eq!(wrong(".tabels"), "no command `.tabels`\nhint: did you mean `.tables`?");
        assert_eq!(wrong(".frobnicate"), "no command `.frobnicate`\nhint: `.help` lists the commands");
        assert_eq!(wrong(".mode jsno"), "no mode `jsno`\nhint: did you mean `json`?");
        assert_eq!(wrong(".timer maybe"), "wrong use of `.timer`\nhint: write `.timer on|off`");
        assert_eq!(wrong(".read"), "wrong use of `.read`\nhint: write `.read FILE`");
        assert_eq!(wrong(".quit now"), "wrong use of `.quit`\nhint: write `.quit`");
    }
}
