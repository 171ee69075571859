//! Configurations that nobody wrote.
