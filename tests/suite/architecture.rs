//! The rules of the source tree that no compiler checks: which folder may use which, and how a file begins and ends.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each folder of `src/`, or file beside them, may use of the crate. The first uses the most; nothing points up.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("engine", &["sql", "source", "sink", "archive", "operators", "log", "circuit", "delta", "interval", "error"]),
    ("sql", &["operators", "circuit", "delta", "interval", "error"]),
    ("source", &["interval", "error"]),
    ("sink", &["interval", "error"]),
    ("archive", &["log", "delta", "error"]),
    ("operators", &["circuit", "delta", "error"]),
    ("log", &["delta", "error"]),
    ("circuit", &["delta", "interval", "error"]),
    ("delta", &["error"]),
    ("interval", &[]),
    ("error", &[]),
    ("lib", &["engine", "log", "error"]),
];
/// Beyond this a file holds a second idea.
const LINES_MAX: usize = 400;

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let part = part(&path);
        // The program uses the crate from outside, as any other would.
        if part == "cli" || part == "main" {
            if text.contains("crate::engine") {
                wrong.push(format!("{} uses the engine from inside", path.display()));
            }
            continue;
        }
        let (_, allowed) = MAY_USE.iter().find(|(name, _)| *name == part).expect("every folder has a rule");
        for used in used_parts(&text) {
            if used != part && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses `{used}`, which `{part}` may not", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rules_have_no_cycle() {
    // A folder may only use those that come after it.
    for (at, (name, allowed)) in MAY_USE.iter().enumerate().filter(|(_, (name, _))| *name != "lib") {
        for used in *allowed {
            let place = MAY_USE.iter().position(|(other, _)| other == used);
            assert!(place.is_some_and(|place| place > at), "`{name}` uses `{used}`, which does not come after it");
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for (path, text) in ["src", "tests", "benches", "examples"].into_iter().flat_map(sources) {
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not begin with `//!`", path.display()));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{} has {lines} lines, and {LINES_MAX} are the most", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The parts of the crate that a text names, in `use` and in paths.
fn used_parts(text: &str) -> BTreeSet<String> {
    let word = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let named = code.flat_map(|line| line.split("crate::").skip(1).map(word).collect::<Vec<_>>());
    named.filter(|name| MAY_USE.iter().any(|(part, _)| part == name)).collect()
}

/// The folder of `src/` that a file is in, or the name of a file beside them.
fn part(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("a file of the sources");
    let first = inside.iter().next().expect("a file has a name").to_string_lossy();
    first.trim_end_matches(".rs").to_string()
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut todo = vec![root().join(folder)];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
