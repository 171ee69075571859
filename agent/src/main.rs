//! sigblame.
fn main() {}
