//! Cuts JSON text into records, in place: the lines of newline-delimited JSON, or the elements of one array.
//!
//! Only brackets and strings are looked at; whether a record is right is for the decoder to say. Where an
//! array's brackets do not match, the record is given up to the next line that begins with `{`.

/// How records lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One on each line.
    Lines,
    /// Between `[` and `]`, with commas.
    Array,
}

/// What lies at a place of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A record, without the white space around it; the next one begins at `next` or later.
    Record { start: usize, end: usize, next: usize },
    /// No record before `next`.
    Blank { next: usize },
    /// Something that is no record.
    Fault { start: usize, end: usize, reason: &'static str },
    /// The window ends before the record does.
    More,
    /// The array is closed; nothing but white space may follow.
    Close { next: usize },
}

impl Layout {
    /// The layout of a file that begins with `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Layout {
        match bytes.trim_ascii_start().first() {
            Some(b'[') => Layout::Array,
            _ => Layout::Lines,
        }
    }

    /// Cuts the record at or behind `start`, which is inside `bytes`. `ended` says that no bytes follow them.
    pub(super) fn cut(self, bytes: &[u8], start: usize, ended: bool) -> Cut {
        match self {
            Layout::Lines => line(bytes, start, ended),
            Layout::Array => element(bytes, start, ended),
        }
    }
}

fn line(bytes: &[u8], start: usize, ended: bool) -> Cut {
    let (end, next) = match bytes[start..].iter().position(|b| *b == b'\n') {
        Some(length) => (start + length, start + length + 1),
        None if ended => (bytes.len(), bytes.len()),
        None => return Cut::More,
    };
    let text = bytes[start..end].trim_ascii_start();
    let from = end - text.len();
    match text.trim_ascii_end().len() {
        0 => Cut::Blank { next },
        length => Cut::Record { start: from, end: from + length, next },
    }
}

fn element(bytes: &[u8], start: usize, ended: bool) -> Cut {
    let is_between = |b: &u8| b.is_ascii_whitespace() || *b == b',';
    let Some(skipped) = bytes[start..].iter().position(|b| !is_between(b)) else {
        return Cut::Blank { next: bytes.len() };
    };
    let from = start + skipped;
    match bytes[from] {
        b']' => Cut::Close { next: from + 1 },
        b'{' | b'[' | b'"' => match balanced(&bytes[from..]) {
            Balance::End(length) => Cut::Record { start: from, end: from + length, next: from + length },
            Balance::Open if !ended => Cut::More,
            Balance::Open => give_up(bytes, from, ended, "the value is not closed"),
            Balance::Mismatch => give_up(bytes, from, ended, "the brackets do not match"),
        },
        _ => match bytes[from..].iter().position(|b| is_between(b) || *b == b']') {
            Some(length) => Cut::Record { start: from, end: from + length, next: from + length },
            None if ended => Cut::Record { start: from, end: bytes.len(), next: bytes.len() },
            None => Cut::More,
        },
    }
}

enum Balance {
    End(usize),
    Open,
    Mismatch,
}

/// Where the value that `bytes` begins with ends. Memory is one bit for each open bracket, rounded up to a byte.
fn balanced(bytes: &[u8]) -> Balance {
    let (mut open, mut in_string, mut at) = (Vec::new(), false, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            close @ (b'}' | b']') if open.pop() != Some(close) => return Balance::Mismatch,
            _ => {}
        }
        at += 1;
        if open.is_empty() && !in_string {
            return Balance::End(at.min(bytes.len()));
        }
    }
    Balance::Open
}

/// A fault from `start` to the next line that begins with `{`.
fn give_up(bytes: &[u8], start: usize, ended: bool, reason: &'static str) -> Cut {
    let mut at = start;
    while let Some(length) = bytes[at..].iter().position(|b| *b == b'\n') {
        at += length + 1;
        if bytes[at..].trim_ascii_start().first() == Some(&b'{') {
            return Cut::Fault { start, end: at, reason };
        }
    }
    if ended { Cut::Fault { start, end: bytes.len(), reason } } else { Cut::More }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let bytes = text.as_bytes();
        let layout = Layout::of(bytes);
        let (mut at, mut found) = (0, Vec::new());
        if layout == Layout::Array {
            at = text.find('[').unwrap() + 1;
        }
        while at < bytes.len() {
            at = match layout.cut(bytes, at, true) {
                Cut::Record { start, end, next } => {
                    found.push(text[start..end].to_owned());
                    next
                }
                Cut::Blank { next } => next,
                Cut::Fault { start, end, reason } => {
                    found.push(format!("{reason}: {}", text[start..end].trim_end()));
                    end
                }
                Cut::More => panic!("More at the end of the input"),
                Cut::Close { next } => {
                    found.push("end".into());
                    next
                }
            };
        }
        found
    }

    #[test]
    fn lines() {
        assert_eq!(cut("{\"a\":1}\r\n\n  {\"a\":2} "), ["{\"a\":1}", "{\"a\":2}"]);
    }

    #[test]
    fn arrays() {
        assert_eq!(cut("[]"), ["end"]);
        assert_eq!(cut(" [ {\"a\":[1,{}]} ,\n3,\"x\\\"]\"\n]\n"), ["{\"a\":[1,{}]}", "3", "\"x\\\"]\"", "end"]);
        assert_eq!(cut("[{\"a\":\"}\\\\\"}]"), ["{\"a\":\"}\\\\\"}", "end"]);
    }

    #[test]
    fn broken_brackets_cost_one_record() {
        assert_eq!(cut("[{\"a\":1],\n{\"a\":2}\n]"), ["the brackets do not match: {\"a\":1],", "{\"a\":2}", "end"]);
        assert_eq!(cut("[{\"a\":1,\n{\"a\":2}\n]"), ["the brackets do not match: {\"a\":1,", "{\"a\":2}", "end"]);
        assert_eq!(cut("[{\"a\":1"), ["the value is not closed: {\"a\":1"]);
    }
}
