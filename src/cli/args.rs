//! The program's arguments.
//!
//! ```text
//! millstream [DATABASE] [-c SQL]... [-f FILE]...   shell, or statements
//! millstream run FILE... [--db DATABASE]           files, with a progress bar
//! millstream query ARCHIVE SQL                     an archive folder alone
//! ```

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use millstream::{Durability, Options};

use super::render::Format;

const EXAMPLES: &str = "\
Examples:
  millstream                                  a shell in memory
  millstream mydb                             a shell on the database in the folder mydb
  millstream mydb -c 'SELECT * FROM busiest' --format csv
  millstream mydb < statements.sql
  millstream run quickstart.sql --db mydb     read the sources to their end, then print the results
  millstream query mydb/archive 'SELECT count(*) FROM flights'

Exit codes: 0 success, 1 wrong SQL, 2 wrong arguments, 3 input/output failed or a file is damaged, 4 a limit was reached,
130 stopped by Ctrl-C, 143 by a termination signal.";

/// Ask streams of events continuous questions in SQL.
///
/// Without -c and -f the statements come from standard input: from a shell if that is a terminal. A database
/// named like a subcommand is reached by its path: `./run`.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, propagate_version = true, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// `run` or `query`, if given.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Folder of the database, created if it is missing; in memory if not given
    pub database: Option<PathBuf>,

    /// Run statements; may be repeated, and mixed with -f: they run in the order given
    #[arg(short = 'c', long = "command", value_name = "SQL", action = ArgAction::Append, allow_hyphen_values = true)]
    statements: Vec<String>,

    /// Run the statements of a file; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", action = ArgAction::Append)]
    files: Vec<PathBuf>,

    /// How results look.
    #[command(flatten)]
    pub look: Look,

    /// How the database is opened.
    #[command(flatten)]
    pub opening: Opening,

    /// Open beside a program that writes to the database, without changing it
    #[arg(long, requires = "database")]
    pub readonly: bool,

    /// `statements` and `files` in the order given.
    #[arg(skip)]
    pub scripts: Vec<Script>,
}

/// What to do other than open a shell.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run files: read their sources to the end, showing progress on a terminal, and print their results
    Run {
        /// Files of statements
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,

        /// Folder of the database, created if it is missing; in memory if not given
        #[arg(long = "db", value_name = "DATABASE")]
        database: Option<PathBuf>,

        /// How results look.
        #[command(flatten)]
        look: Look,

        /// How the database is opened.
        #[command(flatten)]
        opening: Opening,
    },
    /// Query an archive folder alone: each stream in it is a table
    Query {
        /// The `archive` folder of a database, or a copy of it
        archive: PathBuf,

        /// A query
        sql: String,

        /// How results look.
        #[command(flatten)]
        look: Look,

        /// Memory that the query may take, such as 512MB or 4GiB [default: 80% of the machine's]
        #[arg(long, value_name = "SIZE", value_parser = bytes)]
        memory_limit: Option<usize>,
    },
}

/// How results look.
#[derive(Debug, Clone, Args)]
pub struct Look {
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// The text of NULL [default: nothing in csv and tsv, else NULL]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub nullvalue: Option<String>,
}

/// How a database is opened.
#[derive(Debug, Clone, Args)]
pub struct Opening {
    /// When a commit counts as done
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityName,

    /// Memory for tables, views and queries, such as 512MB or 4GiB [default: 80% of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory_limit: Option<usize>,
}

/// The words for [`Durability`].
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum DurabilityName {
    /// It is on the disk, synced alone
    Always,
    /// It is on the disk, synced together with commits that wait at the same time
    #[default]
    Group,
    /// The operating system has it; a power cut may lose it
    Os,
}

/// Statements to run without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// The text itself.
    Text(String),
    /// A file of it.
    File(PathBuf),
}

impl Arguments {
    /// Reads the program's arguments; `--help` and mistakes come as errors that print and exit by themselves.
    ///
    /// # Errors
    /// What clap has to say.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
        let matches = Arguments::command().try_get_matches_from(arguments)?;
        let mut read = Arguments::from_arg_matches(&matches)?;
        let places = |name| positions(&matches, name);
        let texts = places("statements").into_iter().zip(read.statements.drain(..).map(Script::Text));
        let files = places("files").into_iter().zip(read.files.drain(..).map(Script::File));
        let mut scripts: Vec<(usize, Script)> = texts.chain(files).collect();
        scripts.sort_by_key(|(place, _)| *place);
        read.scripts = scripts.into_iter().map(|(_, script)| script).collect();
        Ok(read)
    }
}

fn positions(matches: &ArgMatches, name: &str) -> Vec<usize> {
    matches.indices_of(name).map_or_else(Vec::new, Iterator::collect)
}

impl Opening {
    /// The options to open a database with.
    pub fn options(&self, path: Option<PathBuf>, read_only: bool) -> Options {
        let durability = match self.durability {
            DurabilityName::Always => Durability::Always,
            DurabilityName::Group => Durability::Group,
            DurabilityName::Os => Durability::Os,
        };
        let options = Options { path, durability, read_only, ..Options::default() };
        Options { memory_limit: self.memory_limit.unwrap_or(options.memory_limit), ..options }
    }
}

/// A size as people write it: `512MB`, `1.5 GiB`, `4096`.
fn bytes(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("B", 1),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KIB", 1 << 10),
        ("MIB", 1 << 20),
        ("GIB", 1 << 30),
    ];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text[end..].trim().to_uppercase();
    let unit = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes as f64);
    match (text[..end].parse::<f64>(), unit) {
        (Ok(number), Some(unit)) if (1.0..usize::MAX as f64).contains(&(number * unit)) => Ok((number * unit) as usize),
        _ => Err("write a number of bytes, or one with a unit: 512MB, 1.5GB, 4GiB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn scripts_keep_the_order_given() {
        let read = read("millstream -f a.sql db -c one --format csv -f b.sql -c two").unwrap();
        let expected = [
            Script::File("a.sql".into()),
            Script::Text("one".into()),
            Script::File("b.sql".into()),
            Script::Text("two".into()),
        ];
        assert_eq!(read.scripts, expected);
        assert_eq!(read.database, Some("db".into()));
        assert_eq!(read.look.format, Format::Csv);
    }

    #[test]
    fn run_is_a_command_and_its_path_a_database() {
        let run = read("millstream run a.sql b.sql --db x --format ndjson --nullvalue -").unwrap();
        assert!(matches!(run.command, Some(Command::Run { files, look, .. })
            if files.len() == 2 && look.format == Format::Ndjson && look.nullvalue.as_deref() == Some("-")));
        assert_eq!(read("millstream ./run").unwrap().database, Some("./run".into()));
        let query = read("millstream query db/archive SELECT --format=markdown").unwrap();
        assert!(matches!(query.command, Some(Command::Query { sql, .. }) if sql == "SELECT"));
    }

    #[test]
    fn sizes_are_written_in_several_ways() {
        let right = [("4096", 4096), ("512MB", 512_000_000), ("1.5 gib", 3 << 29), ("8kB", 8000), ("7B", 7)];
        for (text, expected) in right {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for wrong in ["", "MB", "1e9", "12 parsecs", "0", "-5", "1.2.3", "99999999999TB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        let given = read("millstream run a.sql --memory-limit 64MiB").unwrap();
        assert!(matches!(given.command, Some(Command::Run { opening, .. })
            if opening.options(None, false).memory_limit == 64 << 20));
        let given = read("millstream query db/archive SELECT --memory-limit=1GB").unwrap();
        assert!(matches!(given.command, Some(Command::Query { memory_limit: Some(1_000_000_000), .. })));
    }

    #[test]
    fn mistakes_exit_with_2_and_help_with_0() {
        for wrong in [
            "millstream --format xml",
            "millstream --memory-limit much",
            "millstream run",
            "millstream db extra",
            "millstream --readonly",
        ] {
            assert_eq!(read(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
        for right in ["millstream --help", "millstream --version", "millstream run --help", "millstream query --help"] {
            assert_eq!(read(right).unwrap_err().exit_code(), 0, "{right}");
        }
    }
}
