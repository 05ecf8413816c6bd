//! Cuts CSV records into fields, in place.
//!
//! RFC 4180: fields between delimiters, records between line ends (LF or CRLF); a field in quotes may hold
//! delimiters, line ends and doubled quotes. A quote inside an unquoted field is text. Where the quoting is
//! broken, the first line of the record is given up and reading goes on behind it.

use std::borrow::Cow;

/// What separates and surrounds fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub delimiter: u8,
    pub quote: Option<u8>,
}

/// One field: the bytes inside its quotes, by their place in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub start: u32,
    pub end: u32,
    pub quoted: bool,
    /// Quotes inside it are doubled.
    pub doubled: bool,
}

/// What lies at a place of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A record, up to `end`, over so many lines; its fields were appended.
    Record { end: usize, lines: u64 },
    /// An empty line.
    Blank { end: usize },
    /// A line that is no record.
    Fault { end: usize, reason: &'static str },
    /// The window ends before the record does.
    More,
}

/// What ends a field.
enum Stop {
    Delimiter(usize),
    Line(usize),
    More,
    Fault(&'static str),
}

impl Dialect {
    /// Cuts the record that begins at `start`, which is inside `bytes`. `ended` says that no bytes follow them.
    pub(super) fn cut(self, bytes: &[u8], start: usize, ended: bool, fields: &mut Vec<Field>) -> Cut {
        if let Some(end) = line_end(bytes, start, ended) {
            return Cut::Blank { end };
        }
        let (mut at, mut lines) = (start, 1);
        loop {
            let stop = match bytes.get(at) {
                Some(byte) if Some(*byte) == self.quote => self.quoted(bytes, at + 1, ended, fields, &mut lines),
                _ => self.unquoted(bytes, at, ended, fields),
            };
            match stop {
                Stop::Delimiter(next) => at = next,
                Stop::Line(end) => return Cut::Record { end, lines },
                Stop::More => return Cut::More,
                Stop::Fault(reason) => {
                    return match bytes[start..].iter().position(|b| *b == b'\n') {
                        Some(length) => Cut::Fault { end: start + length + 1, reason },
                        None if ended => Cut::Fault { end: bytes.len(), reason },
                        None => Cut::More,
                    };
                }
            }
        }
    }

    /// The text of a field, with one quote where there were two.
    pub(super) fn undouble(self, text: &str, field: Field) -> Cow<'_, str> {
        match self.quote {
            Some(quote) if field.doubled => {
                let quote = char::from(quote);
                Cow::Owned(text.replace(&String::from_iter([quote, quote]), &quote.to_string()))
            }
            _ => Cow::Borrowed(text),
        }
    }

    fn unquoted(self, bytes: &[u8], start: usize, ended: bool, fields: &mut Vec<Field>) -> Stop {
        let length = bytes[start..].iter().position(|b| *b == self.delimiter || *b == b'\n');
        let (end, stop) = match length {
            Some(length) if bytes[start + length] == b'\n' => (start + length, Stop::Line(start + length + 1)),
            Some(length) => (start + length, Stop::Delimiter(start + length + 1)),
            None if ended => (bytes.len(), Stop::Line(bytes.len())),
            None => return Stop::More,
        };
        let carriage = matches!(stop, Stop::Line(_)) && end > start && bytes[end - 1] == b'\r';
        fields.push(field(start, end - usize::from(carriage), false, false));
        stop
    }

    /// `start` is behind the opening quote.
    fn quoted(self, bytes: &[u8], start: usize, ended: bool, fields: &mut Vec<Field>, lines: &mut u64) -> Stop {
        let (mut at, mut doubled) = (start, false);
        loop {
            let Some(length) = bytes[at..].iter().position(|b| Some(*b) == self.quote) else {
                return if ended { Stop::Fault("a quote is not closed") } else { Stop::More };
            };
            *lines += bytes[at..at + length].iter().filter(|b| **b == b'\n').count() as u64;
            let close = at + length;
            match bytes.get(close + 1) {
                Some(byte) if Some(*byte) == self.quote => {
                    doubled = true;
                    at = close + 2;
                    continue;
                }
                None if !ended => return Stop::More,
                _ => fields.push(field(start, close, true, doubled)),
            }
            return match bytes.get(close + 1) {
                Some(byte) if *byte == self.delimiter => Stop::Delimiter(close + 2),
                Some(b'\r') if close + 2 == bytes.len() && !ended => Stop::More,
                _ => match line_end(bytes, close + 1, ended) {
                    Some(end) => Stop::Line(end),
                    None => Stop::Fault("text follows a closing quote"),
                },
            };
        }
    }
}

fn field(start: usize, end: usize, quoted: bool, doubled: bool) -> Field {
    let place = |at| u32::try_from(at).expect("the window is smaller than 4 GiB");
    Field { start: place(start), end: place(end), quoted, doubled }
}

/// The place behind the line end at `at`, if there is one.
fn line_end(bytes: &[u8], at: usize, ended: bool) -> Option<usize> {
    match &bytes[at..] {
        [] | [b'\r'] if ended => Some(bytes.len()),
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a whole text; `|` between fields, quoted ones in brackets.
    fn cut(text: &str) -> Vec<String> {
        let dialect = Dialect { delimiter: b',', quote: Some(b'"') };
        let (mut at, mut lines) = (0, Vec::new());
        while at < text.len() {
            let mut fields = Vec::new();
            match dialect.cut(text.as_bytes(), at, true, &mut fields) {
                Cut::Record { end, lines: count } => {
                    let shown = fields.iter().map(|f| {
                        let inner = &text[f.start as usize..f.end as usize];
                        if f.quoted { format!("[{inner}]") } else { inner.to_owned() }
                    });
                    lines.push(format!("{count}: {}", shown.collect::<Vec<_>>().join("|")));
                    at = end;
                }
                Cut::Blank { end } => {
                    lines.push("blank".into());
                    at = end;
                }
                Cut::Fault { end, reason } => {
                    lines.push(format!("{reason}: {:?}", &text[at..end]));
                    at = end;
                }
                Cut::More => panic!("More at the end of the input"),
            }
        }
        lines
    }

    #[test]
    fn records() {
        assert_eq!(cut("a,b\n1,2"), ["1: a|b", "1: 1|2"]);
        assert_eq!(cut("a,\r\n,\r\n\r\n"), ["1: a|", "1: |", "blank"]);
        assert_eq!(cut("\"x,\"\"y\nz\",\"\"\r\n1\r"), ["2: [x,\"\"y\nz]|[]", "1: 1"]);
        assert_eq!(cut("5\" disk,b\n"), ["1: 5\" disk|b"]);
    }

    #[test]
    fn broken_quotes_cost_one_line() {
        assert_eq!(cut("\"a\"b,1\n2,3\n"), ["text follows a closing quote: \"\\\"a\\\"b,1\\n\"", "1: 2|3"]);
        assert_eq!(cut("\"a,1\n2,3\n"), ["a quote is not closed: \"\\\"a,1\\n\"", "1: 2|3"]);
    }

    #[test]
    fn a_window_that_ends_anywhere_asks_for_more_or_gives_the_same_record() {
        let text = b"\"a\"\"\n\",b\r\n";
        let dialect = Dialect { delimiter: b',', quote: Some(b'"') };
        for end in 1..text.len() {
            assert_eq!(dialect.cut(&text[..end], 0, false, &mut Vec::new()), Cut::More, "{end}");
        }
        let cut = dialect.cut(text, 0, false, &mut Vec::new());
        assert_eq!(cut, Cut::Record { end: text.len(), lines: 2 });
    }
}
