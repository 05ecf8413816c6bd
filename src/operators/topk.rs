use arrow::datatypes::SchemaRef; use crate::error::Result; use crate::circuit::*; use crate::delta::Delta;
#[derive(Debug,Clone)] pub struct SortKey{pub column: usize, pub descending: bool, pub nulls_first: bool}
pub struct TopK; impl TopK{ pub fn new(_s: SchemaRef,_o: Vec<SortKey>,_k: usize,_f: Option<usize>,_a: bool)->Result<Self>{todo!()}}
impl std::fmt::Display for TopK { fn fmt(&self,_:&mut std::fmt::Formatter<'_>)->std::fmt::Result{Ok(())} }
impl Operator for TopK { fn schema(&self)->SchemaRef{todo!()} fn step(&mut self,_:&[&Delta],_:&Tick)->Result<Delta>{todo!()} }
