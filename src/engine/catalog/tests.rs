//! The catalog as its entries make it.

use super::*;
use crate::engine::system::rejects_object;

fn view(id: u32, name: &str, reads: &[u32]) -> Ddl {
    let mut object = rejects_object();
    (object.id, object.name, object.kind) = (id, name.into(), Kind::MaterializedView);
    object.reads = reads.iter().copied().collect();
    Ddl::Create(Box::new(object))
}

#[test]
fn entries_read_back_as_written() {
    let entry = view(20, "v", &[16, 17]);
    let entries = [entry];
    assert_eq!(Ddl::decode(&Ddl::encode(&entries).unwrap()).unwrap(), entries);
}

#[test]
fn dependents_come_after_what_they_read() {
    let mut catalog = Catalog::default();
    for entry in
        [view(16, "a", &[]), view(17, "b", &[16]), view(18, "c", &[17]), view(16, "a", &[19]), view(19, "daily", &[])]
    {
        catalog.apply(&entry).unwrap();
    }
    let names: Vec<String> = catalog.dependents(19).iter().map(|o| o.name.clone()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(catalog.next_id(false), 20);
    assert!(catalog.expect("dialy").unwrap_err().to_string().contains("did you mean `daily`?"));
}
