//! Each file of `queries/`, and of the folders in it, against its transcript: what the commands in its head print.
//!
//! A command is a line such as `--     millstream run queries/joins.sql`. The commands of a file run one after another
//! from the repository's root; a database that they name is made in a folder of its own. `UPDATE=1` writes the
//! transcripts anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a line with a command begins with.
const COMMAND_PREFIX: &str = "--     millstream ";
/// Columns whose values differ from run to run, or from one version of an operator to the next.
const COLUMNS_MASKED: [&str; 2] = ["ms", "state_bytes"];
const MASK: &str = "...";

#[test]
fn every_query_prints_its_transcript() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = crate::embed_support::files(&root.join("queries"));
    files.retain(|path| path.extension().is_some_and(|e| e == "sql"));
    assert!(files.len() >= 17, "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let printed = transcript(root, &fs::read_to_string(&file).unwrap());
        let golden = file.with_extension("out");
        if std::env::var_os("UPDATE").is_some_and(|v| v == "1") {
            fs::write(&golden, &printed).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if printed != expected {
            wrong.push(format!("{}:\n{}", golden.display(), first_difference(&expected, &printed)));
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 writes the transcripts anew.\n{}", wrong.join("\n"));
}

#[test]
fn a_second_run_of_the_quickstart_prints_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let arguments = words("run queries/quickstart.sql --db flights-db");
    let first = run(root, folder.path(), &arguments);
    assert!(first.contains("busiest_routes") && !first.contains("[exit code"), "{first}");
    let second = run(root, folder.path(), &arguments);
    assert_eq!(first, second);
}

/// What the commands of a file print, each below its own line.
fn transcript(root: &Path, text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(COMMAND_PREFIX)).collect();
    assert!(!commands.is_empty(), "no line begins with `{COMMAND_PREFIX}`");
    let mut printed = String::new();
    for command in commands {
        writeln!(printed, "$ millstream {command}").unwrap();
        printed.push_str(&run(root, folder.path(), &words(command)));
    }
    printed
}

/// Standard output, then standard error and the exit code where there are any.
fn run(root: &Path, folder: &Path, arguments: &[String]) -> String {
    let place = format!("{}/", folder.display());
    let in_folder = |word: &String| match word
        .split('/')
        .next()
        .is_some_and(|first| first.ends_with("-db") && !first.starts_with('-'))
    {
        true => format!("{place}{word}"),
        false => word.clone(),
    };
    let output = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(arguments.iter().map(in_folder))
        .current_dir(root)
        .env_remove("MILLSTREAM_LOG")
        .output()
        .unwrap();
    let mut printed = masked(&String::from_utf8(output.stdout).unwrap());
    if !output.stderr.is_empty() {
        write!(printed, "[standard error]\n{}", String::from_utf8(output.stderr).unwrap()).unwrap();
    }
    if !output.status.success() {
        writeln!(printed, "[exit code {}]", output.status.code().unwrap()).unwrap();
    }
    printed.replace(&place, "")
}

/// The words of a command line; double quotes hold blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(String::from)),
            _ => words.push(part.to_string()),
        }
    }
    words
}

/// The text without the values that cannot be compared.
fn masked(text: &str) -> String {
    let mut printed = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('┌') {
            let masks = lines.peek().map_or_else(Vec::new, |header| masks(header));
            writeln!(printed, "{}", masked_line(line, &masks)).unwrap();
            while let Some(line) = lines.next_if(|line| line.starts_with(['│', '├', '└'])) {
                writeln!(printed, "{}", masked_line(line, &masks)).unwrap();
            }
        } else {
            writeln!(printed, "{line}").unwrap();
        }
    }
    printed
}

/// For each column of a table, what stands for its name and for its values where they are masked.
fn masks(header: &str) -> Vec<Option<(String, String)>> {
    let mask = |name: &str| {
        let name = name.trim();
        let width = name.len().max(MASK.len());
        COLUMNS_MASKED.contains(&name).then(|| (format!(" {name:width$} "), format!(" {MASK:>width$} ")))
    };
    header.trim_matches('│').split('│').map(mask).collect()
}

fn masked_line(line: &str, masks: &[Option<(String, String)>]) -> String {
    let separator = match line.chars().next() {
        Some('┌') => '┬',
        Some('├') => '┼',
        Some('└') => '┴',
        _ => '│',
    };
    let ends = ['│', '┌', '├', '└', '┐', '┤', '┘'];
    let parts = line.trim_matches(ends).split(separator).zip(masks).map(|(part, mask)| match mask {
        None => part.to_string(),
        Some((name, _)) if part.contains(name.trim()) => name.clone(),
        Some((name, _)) if part.contains('─') => "─".repeat(name.len()),
        Some((_, value)) => value.clone(),
    });
    let first: String = line.chars().take(1).collect();
    let last: String = line.chars().rev().take(1).collect();
    format!("{first}{}{last}", parts.collect::<Vec<_>>().join(&separator.to_string()))
}

fn first_difference(expected: &str, printed: &str) -> String {
    let (mut left, mut right) = (expected.lines(), printed.lines());
    for number in 1.. {
        match (left.next(), right.next()) {
            (a, b) if a == b && a.is_some() => {}
            (a, b) => {
                let (a, b) = (a.unwrap_or("(the end)"), b.unwrap_or("(the end)"));
                return format!("  line {number}\n  expected: {a}\n  printed:  {b}");
            }
        }
    }
    String::new()
}
