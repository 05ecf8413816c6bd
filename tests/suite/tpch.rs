//! TPC-H: its 22 queries (`tpch/*.sql`) as live views, all at once, while orders come, go and change.
//!
//! The data are those of the benchmark, made by `tpchgen`; constants of some queries are chosen so that small data give
//! rows too. Refresh deletes orders with their items, inserts others, and changes items and balances.
//! `cargo test --release --test suite -- --ignored tpch --nocapture` does the same at scale factor 0.1 (`TPCH_SCALE` gives
//! another), and prints what each view costs.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::Int64Type;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

use crate::workload::{Piece, Workload, queries, with_stack};

/// The scale that a debug build bears.
const SCALE_SMALL: f64 = 0.002;
/// The scale of the long test.
const SCALE: f64 = 0.1;
/// Views that must hold something: where there is nothing, nothing is compared.
const TELLING_MIN: usize = 20;
/// Commits that orders and their items come in.
const PIECES: i64 = 8;

const RELATIONS: [(&str, &str); 8] = [
    ("region", "CREATE TABLE region (r_regionkey BIGINT PRIMARY KEY, r_name TEXT, r_comment TEXT)"),
    ("nation", "CREATE TABLE nation (n_nationkey BIGINT PRIMARY KEY, n_name TEXT, n_regionkey BIGINT, n_comment TEXT)"),
    (
        "supplier",
        "CREATE TABLE supplier (s_suppkey BIGINT PRIMARY KEY, s_name TEXT, s_address TEXT, s_nationkey BIGINT,
         s_phone TEXT, s_acctbal DECIMAL(15, 2), s_comment TEXT)",
    ),
    (
        "customer",
        "CREATE TABLE customer (c_custkey BIGINT PRIMARY KEY, c_name TEXT, c_address TEXT, c_nationkey BIGINT,
         c_phone TEXT, c_acctbal DECIMAL(15, 2), c_mktsegment TEXT, c_comment TEXT)",
    ),
    (
        "part",
        "CREATE TABLE part (p_partkey BIGINT PRIMARY KEY, p_name TEXT, p_mfgr TEXT, p_brand TEXT, p_type TEXT,
         p_size INT, p_container TEXT, p_retailprice DECIMAL(15, 2), p_comment TEXT)",
    ),
    (
        "partsupp",
        "CREATE TABLE partsupp (ps_partkey BIGINT, ps_suppkey BIGINT, ps_availqty INT, ps_supplycost DECIMAL(15, 2),
         ps_comment TEXT, PRIMARY KEY (ps_partkey, ps_suppkey))",
    ),
    (
        "orders",
        "CREATE TABLE orders (o_orderkey BIGINT PRIMARY KEY, o_custkey BIGINT, o_orderstatus TEXT,
         o_totalprice DECIMAL(15, 2), o_orderdate DATE, o_orderpriority TEXT, o_clerk TEXT, o_shippriority INT,
         o_comment TEXT)",
    ),
    (
        "lineitem",
        "CREATE TABLE lineitem (l_orderkey BIGINT, l_partkey BIGINT, l_suppkey BIGINT, l_linenumber INT,
         l_quantity DECIMAL(15, 2), l_extendedprice DECIMAL(15, 2), l_discount DECIMAL(15, 2), l_tax DECIMAL(15, 2),
         l_returnflag TEXT, l_linestatus TEXT, l_shipdate DATE, l_commitdate DATE, l_receiptdate DATE,
         l_shipinstruct TEXT, l_shipmode TEXT, l_comment TEXT, PRIMARY KEY (l_orderkey, l_linenumber))",
    ),
];

/// Refresh: orders come under keys that none had, others go with their items, others change; parts and suppliers go.
const CHANGES: [&[&str]; 3] = [
    &[
        "INSERT INTO orders SELECT o_orderkey + 100000000, o_custkey + 1, o_orderstatus, o_totalprice * 1.5,
         o_orderdate + INTERVAL '40' DAY, o_orderpriority, o_clerk, o_shippriority, o_comment
         FROM orders WHERE o_orderkey % 29 = 3",
        "INSERT INTO lineitem SELECT l_orderkey + 100000000, l_partkey, l_suppkey, l_linenumber, l_quantity + 7,
         l_extendedprice, l_discount, l_tax, l_returnflag, l_linestatus, l_shipdate + INTERVAL '50' DAY, l_commitdate,
         l_receiptdate + INTERVAL '60' DAY, l_shipinstruct, l_shipmode, l_comment
         FROM lineitem WHERE l_orderkey % 29 = 3",
    ],
    &["DELETE FROM lineitem WHERE l_orderkey % 29 = 5", "DELETE FROM orders WHERE o_orderkey % 29 = 5"],
    &[
        "UPDATE lineitem SET l_quantity = l_quantity - 3, l_receiptdate = l_commitdate WHERE l_orderkey % 29 = 7",
        "UPDATE customer SET c_acctbal = c_acctbal * 2 WHERE c_custkey % 11 = 2",
        "DELETE FROM part WHERE p_partkey % 31 = 4",
        "DELETE FROM supplier WHERE s_suppkey % 13 = 4",
    ],
];

#[test]
fn tpch_views_equal_their_queries() {
    with_stack(|| {
        let workload = workload(SCALE_SMALL);
        assert_eq!(workload.queries.len(), 22);
        workload.prove(TELLING_MIN);
    });
}

#[test]
#[ignore = "takes minutes, and a release build"]
fn tpch_long() {
    with_stack(|| {
        let scale = std::env::var("TPCH_SCALE").map_or(SCALE, |text| text.parse().expect("a number"));
        let workload = workload(scale);
        workload.report();
        workload.prove(TELLING_MIN);
    });
}

fn workload(scale: f64) -> Workload {
    let one = |name, batches: Vec<_>| (name, concat(batches.into_iter().map(Result::unwrap).collect()));
    // A few relations come whole before the first order; parts and customers come among the orders.
    let mut pieces: Vec<Piece> = vec![vec![
        one("region", RegionArrow::new(RegionGenerator::new(scale, 1, 1)).collect()),
        one("nation", NationArrow::new(NationGenerator::new(scale, 1, 1)).collect()),
        one("supplier", SupplierArrow::new(SupplierGenerator::new(scale, 1, 1)).collect()),
    ]];
    let (_, orders) = one("orders", OrderArrow::new(OrderGenerator::new(scale, 1, 1)).collect());
    let (_, items) = one("lineitem", LineItemArrow::new(LineItemGenerator::new(scale, 1, 1)).collect());
    for piece in 0..PIECES {
        pieces.push(vec![
            ("lineitem", with_key(&items, |key| key % PIECES == piece)),
            ("orders", with_key(&orders, |key| key % PIECES == piece)),
        ]);
    }
    pieces.insert(3, vec![one("customer", CustomerArrow::new(CustomerGenerator::new(scale, 1, 1)).collect())]);
    pieces.insert(5, vec![one("part", PartArrow::new(PartGenerator::new(scale, 1, 1)).collect())]);
    pieces.insert(7, vec![one("partsupp", PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1)).collect())]);
    let changes = CHANGES.iter().map(|statements| statements.iter().map(ToString::to_string).collect()).collect();
    Workload { relations: &RELATIONS, pieces, changes, queries: queries("tpch") }
}

fn concat(batches: Vec<RecordBatch>) -> RecordBatch {
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// The rows whose first column, a key, is wanted.
fn with_key(batch: &RecordBatch, wanted: impl Fn(i64) -> bool) -> RecordBatch {
    let keys = batch.column(0).as_primitive::<Int64Type>();
    let mask: BooleanArray = (0..keys.len()).map(|row| Some(wanted(keys.value(row)))).collect();
    filter_record_batch(batch, &mask).unwrap()
}
