use arrow::datatypes::SchemaRef; use crate::error::Result; use crate::circuit::*; use crate::delta::Delta;
pub struct Join; impl Join { pub fn new(_l: SchemaRef,_r: SchemaRef,_on: Vec<(usize,usize)>,_n: bool,_a:(bool,bool),_o: SchemaRef)->Result<Self>{todo!()}}
impl std::fmt::Display for Join { fn fmt(&self,_:&mut std::fmt::Formatter<'_>)->std::fmt::Result{Ok(())} }
impl Operator for Join { fn schema(&self)->SchemaRef{todo!()} fn step(&mut self,_:&[&Delta],_:&Tick)->Result<Delta>{todo!()} }
