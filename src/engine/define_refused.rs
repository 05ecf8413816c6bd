//! Views that are built well and yet refused, for what they would come to.

use super::catalog::{Catalog, Object};
use super::core::{Core, View};
use super::ddl_view::BOUNDED;
use super::names::sources;
use crate::circuit::{Circuit, NodeId};
use crate::error::{Error, Result};

impl Core {
    /// Refuses a view whose state can grow for ever, be it in a view below.
    pub(super) fn refuse_unbounded(
        &self,
        object: &Object,
        catalog: &Catalog,
        circuit: &Circuit,
        root: NodeId,
    ) -> Result<()> {
        let mut open = circuit.unbounded(root);
        for read in sources(catalog, &object.reads, false) {
            if let Some(View { node: Ok(node), .. }) = self.views.get(&read) {
                open.extend(self.circuit.unbounded(*node));
            }
        }
        match open.first() {
            None => Ok(()),
            Some(operator) => Err(Error::input(format!(
                "view `{}`: its state can grow for ever, and {BOUNDED} is set: {operator}",
                object.name
            ))
            .with_hint(
                "a watermark bounds what is grouped by a window of its stream, and joins on it; EXPLAIN CREATE \
                 MATERIALIZED VIEW tells of each operator",
            )),
        }
    }

    /// Refuses a view that leaves out failing rows over one that depends on the time: which commit made a row fail there
    /// could not be told from the rows of the log.
    pub(super) fn refuse_time(&self, object: &Object, catalog: &Catalog) -> Result<()> {
        for read in sources(catalog, &object.reads, false) {
            let Some(View { node: Ok(node), .. }) = self.views.get(&read) else { continue };
            if self.circuit.depends_on_time(*node) {
                let name = catalog.get(read).map_or_else(String::new, |object| object.name.clone());
                return Err(Error::unsupported(format!(
                    "on_error = 'skip' over view `{name}`, whose rows change with the time: since which commit a row \
                     fails could not be told"
                ))
                .with_hint(format!("put what may fail into a view below `{name}`")));
            }
        }
        Ok(())
    }
}
