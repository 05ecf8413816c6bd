//! What is remembered of objects that were altered: what views know by other names, and comments.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Object};

/// What the text of a view means, where it is not what it would mean today. The text stays as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Names in the text, and whose they were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, u32>,
    /// The columns that the view sees of an object: the first ones, under the names that they had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<u32, Vec<String>>,
}

impl Known {
    /// Whether the text means what it says.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.columns.is_empty()
    }
}

/// What `COMMENT ON` said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comments {
    /// Of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Of its columns, by place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<usize, String>,
}

impl Comments {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.object.is_none() && self.columns.is_empty()
    }
}

impl Catalog {
    /// Views that read the object go on to mean what they meant.
    pub(super) fn alter(&mut self, new: &Object) {
        let Some(old) = self.objects.get(&new.id).cloned() else { return };
        let names = |object: &Object| object.schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        let (before, after) = (names(&old), names(new));
        for view in self.objects.values_mut().filter(|view| view.reads.contains(&old.id)) {
            if old.name != new.name && !view.known.names.values().any(|id| *id == old.id) {
                Arc::make_mut(view).known.names.insert(old.name.clone(), old.id);
            }
            if before != after && !view.known.columns.contains_key(&old.id) {
                Arc::make_mut(view).known.columns.insert(old.id, before.clone());
            }
        }
        self.unname(&old);
        self.name(new);
        self.objects.insert(new.id, Arc::new(new.clone()));
    }

    /// The object that a name stands for in the text of a view that knows this much; without, in what a user says now.
    pub fn find_known(&self, name: &str, known: Option<&Known>) -> Option<&Arc<Object>> {
        let Some(known) = known else { return self.find(name) };
        match known.names.get(name) {
            Some(id) => self.objects.get(id),
            // A temporary view knows all that it reads; the others read nothing that is temporary.
            None => self.find_lasting(name),
        }
    }
}
