//! What a user can say: Millstream's statements, with the parser's trees inside.

use std::collections::BTreeMap;

use datafusion::sql::parser::CopyToStatement;
use datafusion::sql::sqlparser::ast;

/// One parsed statement.
#[derive(Debug, Clone)]
pub enum Statement {
    /// `CREATE STREAM` or `CREATE TABLE`.
    CreateRelation(Box<CreateRelation>),
    /// `CREATE TABLE ... AS`.
    CreateTableAs(Box<CreateTableAs>),
    /// `CREATE [MATERIALIZED] VIEW`.
    CreateView(CreateView),
    /// `DROP STREAM | TABLE | VIEW | MATERIALIZED VIEW`.
    Drop(Drop),
    /// `ALTER STREAM | TABLE | VIEW | MATERIALIZED VIEW` and `COMMENT ON`.
    Alter(Alter),
    /// `ALTER STREAM name ADVANCE WATERMARK TO moment`.
    AdvanceWatermark {
        /// Normalised name.
        stream: String,
        /// The moment.
        to: Box<ast::Expr>,
    },
    /// `CREATE INDEX`.
    CreateIndex(CreateIndex),
    /// `DROP INDEX`.
    DropIndex {
        /// Normalised names.
        names: Vec<String>,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `PREPARE`.
    Prepare(Prepare),
    /// `EXECUTE`.
    Execute(Execute),
    /// `DEALLOCATE name`, or `ALL` of them.
    Deallocate(Option<String>),
    /// `CREATE [OR REPLACE] FUNCTION`.
    CreateFunction(Box<CreateFunction>),
    /// `DROP FUNCTION`.
    DropFunction(DropFunction),
    /// `INSERT`, `UPDATE`, `DELETE`, `MERGE` or `TRUNCATE`; a query where WITH stands before it.
    Change(Box<ast::Statement>),
    /// `BEGIN`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
    /// `SAVEPOINT`, `RELEASE` and `ROLLBACK TO`.
    Savepoint(Savepoint),
    /// `COPY ... TO 'file'`.
    Copy(Box<CopyToStatement>),
    /// `SELECT`, `VALUES`, `WITH`.
    Query(Box<ast::Query>),
    /// `EXPLAIN` of a query, of a view to be, or of a live view.
    Explain(Explain),
    /// `SUBSCRIBE view [FROM OFFSET n] [AS PATCHES]`.
    Subscribe(Subscribe),
    /// `REPLAY stream INTO stream`.
    Replay(Replay),
    /// `VERIFY [view]`.
    Verify(Option<String>),
    /// `CHECKPOINT`: seal the log's segment and archive it.
    Checkpoint,
    /// `SHOW STREAMS | TABLES | VIEWS | ...`.
    Show(Show),
    /// `SET name = value` or `RESET name`, of a setting that has no effect here; which of the two.
    Set(&'static str),
    /// `DESCRIBE name`.
    Describe(String),
}

/// `CREATE STREAM` or `CREATE TABLE`, as written.
#[derive(Debug, Clone)]
pub struct CreateRelation {
    /// Whether it is a stream (append-only) or a table.
    pub is_stream: bool,
    /// Whether it lives as long as its session.
    pub temporary: bool,
    /// Normalised name.
    pub name: String,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The columns; `None` where they are to be found in the source.
    pub columns: Option<Vec<ast::ColumnDef>>,
    /// Table constraints.
    pub constraints: Vec<ast::TableConstraint>,
    /// `WATERMARK FOR column`.
    pub watermark: Option<WatermarkClause>,
    /// `WITH (key = value, ...)`; keys in lower case.
    pub options: BTreeMap<String, String>,
}

/// `WATERMARK FOR column [AS column - INTERVAL ...]`, as written.
#[derive(Debug, Clone)]
pub struct WatermarkClause {
    /// Normalised name of the column of event times.
    pub column: String,
    /// How much the watermark is behind the greatest event time; nothing where it is not.
    pub delay: Option<ast::Expr>,
    /// Where it stands.
    pub place: Option<crate::error::Place>,
}

/// `CREATE TABLE name [(columns)] AS query`, as written.
#[derive(Debug, Clone)]
pub struct CreateTableAs {
    /// Whether it lives as long as its session.
    pub temporary: bool,
    /// Normalised name.
    pub name: String,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Names for the first columns, where given.
    pub columns: Vec<String>,
    /// What its rows are.
    pub query: Box<ast::Query>,
    /// Whether it begins with the rows, rather than empty.
    pub with_data: bool,
}

/// `CREATE [OR REPLACE] [MATERIALIZED] VIEW`, as written.
#[derive(Debug, Clone)]
pub struct CreateView {
    /// Whether it is kept up to date rather than expanded where it is used.
    pub materialized: bool,
    /// Whether it lives as long as its session.
    pub temporary: bool,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Normalised name.
    pub name: String,
    /// Names for the columns, where given.
    pub columns: Vec<String>,
    /// `EMIT ON WINDOW CLOSE`: a row shows once it can change no more.
    pub on_close: bool,
    /// The text of the query.
    pub query: String,
    /// Where in the statement the text of the query begins: errors within it are moved by this.
    pub query_place: crate::error::Place,
    /// `WITH (key = value, ...)`; keys in lower case.
    pub options: BTreeMap<String, String>,
}

/// `DROP ...`, as written.
#[derive(Debug, Clone)]
pub struct Drop {
    /// What the statement says it drops.
    pub kind: DropKind,
    /// Normalised names.
    pub names: Vec<String>,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// `CASCADE`.
    pub cascade: bool,
}

/// `ALTER ...` or `COMMENT ON ...`, as written.
#[derive(Debug, Clone)]
pub struct Alter {
    /// What the statement says it alters; nothing where it names a column.
    pub kind: Option<DropKind>,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// Normalised name.
    pub name: String,
    /// What to do, in order.
    pub actions: Vec<AlterAction>,
}

/// What an `ALTER` or a `COMMENT ON` does.
#[derive(Debug, Clone)]
pub enum AlterAction {
    /// `ADD [COLUMN] [IF NOT EXISTS] name type ...`.
    AddColumn {
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
        /// The column.
        column: Box<ast::ColumnDef>,
    },
    /// `RENAME TO name`.
    Rename(String),
    /// `RENAME [COLUMN] from TO to`.
    RenameColumn {
        /// Its name.
        from: String,
        /// Its name to be.
        to: String,
    },
    /// `COMMENT ON ... IS 'text'`.
    Comment {
        /// The column; nothing for the whole.
        column: Option<String>,
        /// The text; NULL takes it away.
        text: Option<String>,
    },
}

/// `CREATE [OR REPLACE] FUNCTION`, as written.
#[derive(Debug, Clone)]
pub struct CreateFunction {
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// Normalised name.
    pub name: String,
    /// Its arguments, in order.
    pub arguments: Vec<Argument>,
    /// The type of its value.
    pub returns: ast::DataType,
    /// What it stands for.
    pub body: ast::Expr,
}

/// An argument of a function.
#[derive(Debug, Clone)]
pub struct Argument {
    /// Normalised name; its place, as in `$1`, where it has none.
    pub name: String,
    /// Its type.
    pub data_type: ast::DataType,
}

/// `DROP FUNCTION`, as written.
#[derive(Debug, Clone)]
pub struct DropFunction {
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// Normalised name.
    pub name: String,
}

/// What a `DROP` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropKind {
    /// `DROP STREAM`.
    Stream,
    /// `DROP TABLE`.
    Table,
    /// `DROP VIEW`: also accepted for a materialized view.
    View,
    /// `DROP MATERIALIZED VIEW`.
    MaterializedView,
}

/// `CREATE INDEX`, as written.
#[derive(Debug, Clone)]
pub struct CreateIndex {
    /// Normalised name; one is made where none is given.
    pub name: Option<String>,
    /// Normalised name of the table or materialized view.
    pub relation: String,
    /// Normalised names of columns.
    pub columns: Vec<String>,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
}

/// `PREPARE`, as written.
#[derive(Debug, Clone)]
pub struct Prepare {
    /// Normalised name.
    pub name: String,
    /// The types of the first parameters, where given.
    pub types: Vec<ast::DataType>,
    /// A query or a change.
    pub statement: Box<Statement>,
}

/// `EXECUTE`, as written.
#[derive(Debug, Clone)]
pub struct Execute {
    /// Normalised name.
    pub name: String,
    /// The parameters' values: expressions over constants.
    pub arguments: Vec<ast::Expr>,
}

/// What a statement does with a place in a transaction, by its normalised name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Savepoint {
    /// `SAVEPOINT name`.
    Set(String),
    /// `RELEASE [SAVEPOINT] name`.
    Release(String),
    /// `ROLLBACK TO [SAVEPOINT] name`.
    RollBackTo(String),
}

/// What `EXPLAIN` explains.
#[derive(Debug, Clone)]
pub enum Explain {
    /// The plan of a query, optionally run and measured.
    Query {
        /// The query.
        query: Box<ast::Query>,
        /// `EXPLAIN ANALYZE`.
        analyze: bool,
        /// `EXPLAIN VERBOSE`.
        verbose: bool,
    },
    /// The plan of a prepared query.
    Execute(Execute),
    /// The circuit that a view would have.
    NewView(CreateView),
    /// The circuit of a live view, with its state.
    View(String),
}

/// What `SHOW` lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// Streams.
    Streams,
    /// Tables.
    Tables,
    /// Views of both kinds.
    Views,
    /// Materialized views.
    MaterializedViews,
    /// Indexes.
    Indexes,
    /// Functions defined in SQL.
    Functions,
    /// The text that makes an object.
    Create(String),
    /// A setting, by the batch engine's names; `None` for all.
    Setting(Option<String>),
}

/// `SUBSCRIBE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The view.
    pub view: String,
    /// The offset behind which it begins; else it begins with the rows.
    pub from: Option<u64>,
    /// Whether changes are told by key.
    pub patches: bool,
}

/// `REPLAY`.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The stream whose events are sent again.
    pub from: String,
    /// The stream to which they are sent.
    pub into: String,
    /// The column of their times; else it is that of the watermark.
    pub by: Option<String>,
    /// How many times as fast as their times go; else as fast as can be.
    pub speed: Option<f64>,
}
