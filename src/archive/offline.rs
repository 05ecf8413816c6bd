//! An archive as the tables of a DataFusion session: no log, no lock, and nothing is written.
//!
//! Each data set is a table over exactly the files that the manifest names, wherever the archive lies now. The declared order
//! lets `ORDER BY _offset` merge files without sorting them, and statistics leave out files and row groups.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::common::{TableReference, internal_datafusion_err};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlanBuilder, ScalarUDF, Volatility, create_udf, lit};
use datafusion::prelude::{SessionContext, col, ident};

use super::Archive;
use super::columns::{OFFSET_COLUMN, interval_fields, intervals, stored, with_ours};
use super::manifest::{DatasetEntry, FileEntry};
use super::read::of_file;
use crate::error::{Error, Result};
use crate::log::ObjectId;

/// Where data sets go whose stream or table was dropped.
const DROPPED_SCHEMA: &str = "dropped";

/// Registers every data set of an archive under its name, after comparing every file with its checksum. Those
/// whose objects `system` lists are in the schema that it names. Those that were dropped are in the schema `dropped`, by the name of their
/// folder: several may have had one name.
///
/// # Errors
/// [`Error::Corrupt`] when a file is not what was written; whatever DataFusion says of a table.
pub async fn register(ctx: &SessionContext, archive: &Archive, system: (&str, &[ObjectId])) -> Result<()> {
    archive.check_files()?;
    let manifest = archive.manifest();
    let catalog = ctx.copied_config().options().catalog.default_catalog.clone();
    let catalog = ctx.catalog(&catalog).ok_or_else(|| Error::Internal(format!("no catalog `{catalog}`")))?;
    for schema in [DROPPED_SCHEMA, system.0] {
        catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
    }
    for dataset in &manifest.datasets {
        let name = match dataset.dropped {
            _ if system.1.contains(&dataset.id) => TableReference::partial(system.0, dataset.name.as_str()),
            false => TableReference::bare(dataset.name.as_str()),
            true => TableReference::partial(DROPPED_SCHEMA, dataset.folder.as_str()),
        };
        ctx.register_table(name, table(archive, dataset)?)?;
    }
    Ok(())
}

fn table(archive: &Archive, dataset: &DatasetEntry) -> Result<Arc<dyn TableProvider>> {
    let declared = with_ours(&dataset.schema, dataset.kind);
    if dataset.files.is_empty() {
        return Ok(Arc::new(MemTable::try_new(declared, vec![vec![]])?));
    }
    if dataset.altered {
        return altered(archive, dataset, &declared);
    }
    as_declared(files(archive, dataset, &dataset.files, stored(&declared))?, &declared)
}

/// Files whose columns are the first of those declared, and may have had other names: those with the same columns are
/// a table, and the tables follow one another.
fn altered(archive: &Archive, dataset: &DatasetEntry, declared: &SchemaRef) -> Result<Arc<dyn TableProvider>> {
    let mut kinds: Vec<(SchemaRef, Vec<FileEntry>)> = Vec::new();
    for file in &dataset.files {
        let schema = archive.columns(dataset, file)?;
        match kinds.iter_mut().find(|(known, _)| *known == schema) {
            Some((_, files)) => files.push(file.clone()),
            None => kinds.push((schema, vec![file.clone()])),
        }
    }
    let mut plans = Vec::with_capacity(kinds.len());
    for (schema, some) in kinds {
        let wrong = || Error::corrupt(archive.folder(), 0, format!("files of `{}` have other columns", dataset.name));
        let own = dataset.schema.fields().len();
        let found = of_file(declared, own, schema.fields().len()).ok_or_else(wrong)?;
        let kept = own + found.fields().len() - declared.fields().len();
        let table = files(archive, dataset, &some, schema.clone())?;
        let plan = LogicalPlanBuilder::scan("files", provider_as_source(table), None)?;
        let columns = declared.fields().iter().enumerate().map(|(at, field)| {
            let from = if at < kept { Some(at) } else { (at >= own).then(|| at - own + kept) };
            let column = match from {
                Some(from) => whole(ident(schema.field(from).name()), field),
                None => lit(dataset.added.value(at, field.data_type())?),
            };
            Ok(column.alias(field.name()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        plans.push(plan.project(columns)?.build()?);
    }
    let mut plans = plans.into_iter();
    let first = plans.next().ok_or_else(|| Error::Internal("an altered data set without files".into()))?;
    let union = plans.try_fold(LogicalPlanBuilder::from(first), LogicalPlanBuilder::union)?;
    Ok(Arc::new(ViewTable::new(union.build()?, None)))
}

/// Some files of a data set, which have these columns.
fn files(
    archive: &Archive,
    dataset: &DatasetEntry,
    files: &[FileEntry],
    schema: SchemaRef,
) -> Result<Arc<dyn TableProvider>> {
    let folder = archive.folder().join(&dataset.folder);
    let folder = folder.canonicalize().map_err(|e| Error::io("opening folder", &folder, &e))?;
    let files = files.iter().map(|file| url_of(&folder.join(&file.name))).collect::<Result<Vec<_>>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_sort_order(vec![vec![col(OFFSET_COLUMN).sort(true, false)]]);
    let config = ListingTableConfig::new_with_multi_paths(files).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// The table with intervals where the files have structs of their parts.
fn as_declared(table: Arc<dyn TableProvider>, declared: &SchemaRef) -> Result<Arc<dyn TableProvider>> {
    if table.schema() == *declared {
        return Ok(table);
    }
    let plan = LogicalPlanBuilder::scan("files", provider_as_source(table), None)?;
    let columns = declared.fields().iter().map(|field| whole(ident(field.name()), field).alias(field.name()));
    Ok(Arc::new(ViewTable::new(plan.project(columns.collect::<Vec<_>>())?.build()?, None)))
}

/// A column of a file as what was declared.
fn whole(column: Expr, declared: &Field) -> Expr {
    match declared.data_type() {
        DataType::Interval(_) => interval_of_parts().call(vec![column]),
        _ => column,
    }
}

/// A struct of an interval's parts, as the files have it, to the interval.
fn interval_of_parts() -> ScalarUDF {
    let whole = |args: &[ColumnarValue]| {
        let parts = ColumnarValue::values_to_arrays(args)?.remove(0);
        let found = intervals(&parts);
        found.map(ColumnarValue::Array).ok_or_else(|| internal_datafusion_err!("no interval's parts: {parts:?}"))
    };
    let parts = vec![DataType::Struct(interval_fields())];
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    create_udf("interval_of_parts", parts, interval, Volatility::Immutable, Arc::new(whole))
}

/// A file's address. A path given as text would be taken for a pattern where it holds `*` or `[`.
fn url_of(path: &Path) -> Result<ListingTableUrl> {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => url.push(char::from(*byte)),
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(ListingTableUrl::parse(url)?)
}
