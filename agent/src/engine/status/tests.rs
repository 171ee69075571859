//! Snapshots of what the engine knows.
