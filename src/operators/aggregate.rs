use arrow::datatypes::SchemaRef; use crate::error::Result; use crate::circuit::*; use crate::delta::Delta;

#[derive(Debug,Clone)] pub struct Call { pub function: Function, pub args: Vec<usize>, pub filter: Option<usize>, pub distinct: bool }
#[derive(Debug,Clone,Copy,PartialEq,Eq)] pub enum Function { Count, Sum, Avg, Min, Max }
pub struct Aggregate; impl Aggregate { pub fn new(_i: SchemaRef, _k: Vec<usize>, _c: Vec<Call>, _o: SchemaRef, _a: bool)->Result<Self>{todo!()} pub fn supports(_f: Function,_t:&[arrow::datatypes::DataType],_d:bool)->bool{todo!()}}

impl std::fmt::Display for Aggregate { fn fmt(&self,_:&mut std::fmt::Formatter<'_>)->std::fmt::Result{Ok(())} }
impl Operator for Aggregate { fn schema(&self)->SchemaRef{todo!()} fn step(&mut self,_:&[&Delta],_:&Tick)->Result<Delta>{todo!()} }
