//! Every format on the same awkward rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray, NullArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use millstream::Rows;

use super::{Failure, Format, Header, Screen, Style, write};

fn rows(columns: Vec<(&str, ArrayRef)>) -> Rows {
    let fields: Vec<Field> = columns.iter().map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let columns = columns.into_iter().map(|(_, c)| c).collect();
    Rows { schema: schema.clone(), batches: vec![RecordBatch::try_new(schema, columns).unwrap()] }
}

fn awkward() -> Rows {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let fields = StructArray::from(vec![(
        Arc::new(Field::new("k", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec![Some("a,b"), None])) as ArrayRef,
    )]);
    rows(vec![
        ("n", Arc::new(Int32Array::from(vec![Some(7), None]))),
        ("text", Arc::new(StringArray::from(vec!["a|b,\"c\"\n\td", ""]))),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![Some(1_706_693_400_250), None]))),
        ("d", Arc::new(Decimal128Array::from(vec![Some(-150), None]).with_precision_and_scale(9, 2).unwrap())),
        ("list", Arc::new(list)),
        ("n", Arc::new(fields)),
    ])
}

fn text(rows: &Rows, style: &Style) -> String {
    let mut out = Vec::new();
    match write(&mut out, rows, style, Header::Shown) {
        Ok(()) => String::from_utf8(out).unwrap(),
        Err(Failure::Io(error)) => error.to_string(),
        Err(Failure::Value(error)) => error.to_string(),
    }
}

fn show(rows: &Rows, format: Format) -> String {
    text(rows, &Style { format, ..Style::default() })
}

#[test]
fn table() {
    assert_eq!(
        show(&awkward(), Format::Table),
        r#"
┌──────┬──────────────┬─────────────────────────┬───────┬──────────┬─────────────┐
│    n │ text         │ at                      │     d │ list     │ n           │
├──────┼──────────────┼─────────────────────────┼───────┼──────────┼─────────────┤
│    7 │ a|b,"c"\n\td │ 2024-01-31 09:30:00.250 │ -1.50 │ [1,null] │ {"k":"a,b"} │
│ NULL │              │ NULL                    │  NULL │ NULL     │ {"k":null}  │
└──────┴──────────────┴─────────────────────────┴───────┴──────────┴─────────────┘
(2 rows)
"#
        .trim_start()
    );
}

#[test]
fn csv_and_tsv() {
    assert_eq!(
        show(&awkward(), Format::Csv),
        "n,text,at,d,list,n\n\
         7,\"a|b,\"\"c\"\"\n\td\",2024-01-31 09:30:00.250,-1.50,\"[1,null]\",\"{\"\"k\"\":\"\"a,b\"\"}\"\n\
         ,\"\",,,,\"{\"\"k\"\":null}\"\n"
    );
    assert_eq!(
        show(&awkward(), Format::Tsv),
        "n\ttext\tat\td\tlist\tn\n\
         7\ta|b,\"c\"\\n\\td\t2024-01-31 09:30:00.250\t-1.50\t[1,null]\t{\"k\":\"a,b\"}\n\
         \t\t\t\t\t{\"k\":null}\n"
    );
    let style = Style { format: Format::Csv, null: Some("-".into()), screen: None };
    let dash: ArrayRef = Arc::new(StringArray::from(vec![Some("-"), None, Some("")]));
    assert_eq!(text(&rows(vec![("a", dash)]), &style), "a\n\"-\"\n-\n\n");
}

#[test]
fn json_and_ndjson() {
    let first =
        r#"{"n":7,"text":"a|b,\"c\"\n\td","at":"2024-01-31 09:30:00.250","d":-1.50,"list":[1,null],"n_2":{"k":"a,b"}}"#;
    let second = r#"{"n":null,"text":"","at":null,"d":null,"list":null,"n_2":{"k":null}}"#;
    assert_eq!(show(&awkward(), Format::Json), format!("[{first},\n{second}]\n"));
    assert_eq!(show(&awkward(), Format::Ndjson), format!("{first}\n{second}\n"));
    let parsed: serde_json::Value = serde_json::from_str(&show(&awkward(), Format::Json)).unwrap();
    assert_eq!(parsed[0]["d"], -1.5);
}

#[test]
fn markdown_and_line() {
    assert_eq!(
        show(&awkward(), Format::Markdown),
        "| n | text | at | d | list | n |\n\
         | ---: | --- | --- | ---: | --- | --- |\n\
         | 7 | a\\|b,\"c\"<br>\\td | 2024-01-31 09:30:00.250 | -1.50 | [1,null] | {\"k\":\"a,b\"} |\n\
         | NULL |  | NULL | NULL | NULL | {\"k\":null} |\n"
    );
    let two = rows(vec![
        ("a", Arc::new(Int64Array::from(vec![1, 2]))),
        ("long", Arc::new(StringArray::from(vec![Some("x\ny"), None]))),
    ]);
    assert_eq!(show(&two, Format::Line), "   a = 1\nlong = x\\ny\n\n   a = 2\nlong = NULL\n");
}

#[test]
fn nothing_to_show() {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    let empty = Rows { schema, batches: vec![] };
    let box_of_none = "┌───┐\n│ a │\n├───┤\n└───┘\n(0 rows)\n";
    for (format, expected) in [
        (Format::Table, box_of_none),
        (Format::Csv, "a\n"),
        (Format::Tsv, "a\n"),
        (Format::Json, "[]\n"),
        (Format::Ndjson, ""),
        (Format::Markdown, "| a |\n| ---: |\n"),
        (Format::Line, ""),
    ] {
        assert_eq!(show(&empty, format), expected, "{format:?}");
    }
    let schema = Arc::new(Schema::empty());
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let batch = RecordBatch::try_new_with_options(schema.clone(), vec![], &options).unwrap();
    let no_columns = Rows { schema, batches: vec![batch] };
    assert_eq!(show(&no_columns, Format::Table), "(2 rows)\n");
    assert_eq!(show(&no_columns, Format::Csv), "");
    assert_eq!(show(&no_columns, Format::Json), "[{},\n{}]\n");
}

#[test]
fn a_screen_shows_the_first_and_last_rows() {
    let screen = Some(Screen { width: 40, utf8: true });
    let many = rows(vec![("n", Arc::new(Int64Array::from_iter_values(0..1_000)))]);
    let shown = text(&many, &Style { screen, ..Style::default() });
    assert!(shown.contains("│  79 │\n│   … │\n│ 980 │"), "{shown}");
    assert!(shown.ends_with("(1000 rows, 100 shown; `.output FILE` or another `.mode` gives all)\n"));
    assert_eq!(text(&many, &Style::default()).lines().count(), 1_005);

    let wide = rows(vec![("text", Arc::new(StringArray::from(vec!["word ".repeat(30)])))]);
    let shown = text(&wide, &Style { screen, ..Style::default() });
    assert!(shown.lines().all(|l| l.chars().count() <= 40 || l.starts_with('(')), "{shown}");
}

#[test]
fn a_long_text_is_cut_in_a_table_alone() {
    let long = rows(vec![("a", Arc::new(StringArray::from(vec!["é".repeat(5_000)])))]);
    assert!(show(&long, Format::Table).contains("é... (5000 characters) │"));
    assert!(show(&long, Format::Table).lines().all(|line| line.chars().count() < 4_200));
    assert_eq!(show(&long, Format::Csv).chars().count(), 5_000 + 3);
}

#[test]
fn odd_values() {
    let odd = rows(vec![
        ("f", Arc::new(Float64Array::from(vec![f64::NAN, -0.0, 1e300]))),
        ("e", Arc::new(StringArray::from(vec!["\u{1b}[31m", "日本", "x"]))),
    ]);
    assert_eq!(
        show(&odd, Format::Table),
        r"
┌───────┬────────────┐
│     f │ e          │
├───────┼────────────┤
│   NaN │ \u{1b}[31m │
│  -0.0 │ 日本       │
│ 1e300 │ x          │
└───────┴────────────┘
(3 rows)
"
        .trim_start()
    );
    assert!(show(&odd, Format::Ndjson).starts_with("{\"f\":\"NaN\",\"e\":\"\\u001b[31m\"}\n{\"f\":-0.0,"));
    let unknown = rows(vec![("u", Arc::new(NullArray::new(1)))]);
    assert_eq!(show(&unknown, Format::Line), "u = NULL\n");
    assert_eq!(show(&unknown, Format::Ndjson), "{\"u\":null}\n");
    let zoned = TimestampMillisecondArray::from(vec![0]).with_timezone("+02:00");
    let zoned = rows(vec![("t", Arc::new(zoned))]);
    assert_eq!(show(&zoned, Format::Csv), "t\n1970-01-01 02:00:00+02:00\n");
    assert_eq!(show(&zoned, Format::Ndjson), "{\"t\":\"1970-01-01 02:00:00+02:00\"}\n");
}
