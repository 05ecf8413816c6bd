//! The files that a `path` means: one file, those of a folder, or those that match a pattern.

use std::fs;
use std::path::{Path, PathBuf};

use super::options::{Format, Options};
use crate::error::{Error, Result};

/// The files of `options`, in name order, and how they are read. There is at least one.
pub(super) fn resolve(options: &Options) -> Result<(Vec<String>, Format)> {
    let path = Path::new(&options.path);
    let is_pattern = options.path.contains(['*', '?']) && !path.exists();
    let mut files = if is_pattern {
        matching(path)?
    } else if metadata(path)?.is_dir() {
        files_of(path)?
    } else {
        vec![options.path.clone()]
    };
    let format = options.format.or_else(|| files.iter().find_map(|file| Format::of_path(file)));
    if options.format.is_none() && files != [options.path.as_str()] {
        files.retain(|file| Format::of_path(file) == format);
    }
    if files.is_empty() {
        return Err(Error::input(format!("there is no file to read at {}", options.path)));
    }
    match format {
        Some(format) => Ok((files, format)),
        None => Err(Error::input(format!("the extension of {} does not tell its format", options.path))
            .with_hint("say which: format = 'csv', 'tsv', 'json' or 'parquet'")),
    }
}

fn metadata(path: &Path) -> Result<fs::Metadata> {
    fs::metadata(path).map_err(|e| Error::io("opening", path, &e))
}

/// The files whose names match the last part of `pattern`.
fn matching(pattern: &Path) -> Result<Vec<String>> {
    let unsupported =
        || Error::unsupported(format!("{}: `*` and `?` can stand in the last part of a path only", pattern.display()));
    let folder = pattern.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.to_string_lossy().contains(['*', '?']) {
        return Err(unsupported());
    }
    let name = pattern.file_name().and_then(|name| name.to_str()).ok_or_else(unsupported)?;
    let is_match = |file: &String| {
        let file = Path::new(file).file_name().and_then(|name| name.to_str());
        file.is_some_and(|file| matches(name.as_bytes(), file.as_bytes()))
    };
    Ok(files_of(folder)?.into_iter().filter(is_match).collect())
}

/// The files right in a folder, in name order; hidden ones are left out.
fn files_of(folder: &Path) -> Result<Vec<String>> {
    let reading = |e| Error::io("reading the folder", folder, &e);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(reading)? {
        let path: PathBuf = entry.map_err(reading)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || !metadata(&path)?.is_file() {
            continue;
        }
        let text =
            path.to_str().ok_or_else(|| Error::unsupported(format!("{}: the name is not UTF-8", path.display())))?;
        files.push(text.to_owned());
    }
    files.sort_unstable();
    Ok(files)
}

/// Whether `name` matches `pattern`: `*` stands for any bytes, `?` for one. Linear but for one remembered star.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b) if *b == b'?' || *b == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                // The last star takes one byte more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.gz", false),
            ("a?c*", "abc", true),
            ("a?c*", "ac", false),
            ("*a*b*", "xxaybzz", true),
            ("*a*b*", "xxbyazz", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
