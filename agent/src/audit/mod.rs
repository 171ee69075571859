//! What code could do to signals, told before it runs: `sigblame audit`.
//!
//! `python` reads source by its syntax tree, `native` reads what extension modules import, `verdict`
//! judges both by the rules of `policy`, `owner` says which distribution a file belongs to, and
//! `report` puts it together. `walk` alone touches files.
//!
//! The audit names what can be seen in one file. What it cannot see: a function's name that is
//! computed, a registration through an attribute of an unknown object (other than
//! `add_signal_handler`), system calls of statically linked code.

pub mod native;
pub mod owner;
pub mod python;
pub mod report;
pub mod uses;
pub mod verdict;
pub mod walk;
