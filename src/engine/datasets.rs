//! Which streams and tables the archive has rows of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::catalog::{Kind, Object};
use crate::archive::{self, Dataset};
use crate::delta::added::Added;

/// Every stream and table there ever was: a segment may hold rows of one that was dropped since.
#[derive(Default)]
pub struct Datasets(Mutex<BTreeMap<u32, Dataset>>);

impl Datasets {
    /// Takes in a stream or table, or what has become of it.
    pub fn learn(&self, object: &Object) {
        let kind = match object.kind {
            Kind::Stream => archive::Kind::Stream,
            Kind::Table => archive::Kind::Table,
            Kind::View | Kind::MaterializedView => return,
        };
        let schema = crate::sql::lower::nullable(&object.schema);
        let (name, added) = (object.name.clone(), object.added.clone());
        let dataset = Dataset { id: object.id, name, kind, schema, added, dropped: false };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(object.id, dataset);
    }

    /// Notes that objects have been dropped.
    pub fn forget(&self, ids: &[u32]) {
        let mut datasets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if let Some(dataset) = datasets.get_mut(id) {
                dataset.dropped = true;
            }
        }
    }

    /// What rows from before a column was added have there, by object.
    pub fn added(&self) -> Arc<BTreeMap<u32, Added>> {
        let datasets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let altered = datasets.values().filter(|dataset| !dataset.added.is_empty());
        Arc::new(altered.map(|dataset| (dataset.id, dataset.added.clone())).collect())
    }

    /// All of them.
    pub fn all(&self) -> Vec<Dataset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
