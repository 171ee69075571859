//! What each program may cost the verifier: how many instructions it looks at before it is content.
//!
//! The kernel allows a million, and newer kernels count more for the same program than older ones
//! do, or fewer. Each budget leaves a third or more above what was measured, so that a program that
//! outgrows it is seen here and not by a user with another kernel. Held on the host by
//! `tests/live/doctor.rs`, on other kernels by `cargo xtask vm`.

/// Each program of the object with its budget.
pub const BUDGETS: &[(&str, u32)] = &[
    ("registration_before", 1_000),
    ("registration_after", 200_000),
    ("registration_enter", 2_000),
    ("registration_exit", 200_000),
    ("lifecycle_fork", 1_200),
    ("lifecycle_exec", 1_200),
    ("lifecycle_exit", 1_000),
    ("interpreter", 1_000),
    ("intercept", 200_000),
    ("reload", 1_000),
    ("signal_generate", 1_000),
    ("signal_deliver", 1_000),
    ("inventory", 1_000),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::hooks::HOOKS;

    #[test]
    fn every_program_has_one_budget() {
        let mut budgets: Vec<&str> = BUDGETS.iter().map(|(name, _)| *name).collect();
        let rungs = HOOKS.iter().flat_map(|hook| hook.rungs);
        let mut programs: Vec<&str> = rungs
            .flat_map(|rung| rung.programs)
            .map(|(name, _)| *name)
            .collect();
        budgets.sort_unstable();
        programs.sort_unstable();
        assert_eq!(budgets, programs);
    }
}
