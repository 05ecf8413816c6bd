//! One value on a terminal.

use arrow::datatypes::DataType;

/// Whether values of the type stand on the right of their column.
pub fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// The text on one line and without effect on a terminal: control characters are written as escapes.
pub fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}
