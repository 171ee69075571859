//! What plain cargo cannot say. `cargo xtask run` and `cargo xtask test` are the first two commands
//! that a newcomer types, so both install what they need and say what they do.
//!
//! It is not in the build path: everything here ends in plain cargo commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::packages::Group;

mod bench;
mod ci;
mod fuzz;
mod libraries;
mod offsets;
mod packages;
mod progress;
mod pythons;
mod record;
mod roots;
mod run;
mod setup;
mod stop;
mod test;
mod vm;
mod workspace;

/// Builds, runs and tests sigblame.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Installs what a build needs, and the named groups of system packages.
    Setup {
        /// More groups than the build's.
        #[arg(value_enum)]
        groups: Vec<Group>,
    },
    /// Builds the agent and runs it here, with a demo server where no httpd with mod_wsgi runs.
    Run(run::Options),
    /// Installs what the tests need and runs all that can run here.
    Test(test::Options),
    /// Compares every stack with Python's own, for every Python and MPM that there is.
    Matrix,
    /// Makes roots of other Debian suites, with their httpd, mod_wsgi and CPython.
    Roots(roots::Options),
    /// Tries the agent on other kernels, each in an emulated machine.
    Vm(vm::Options),
    /// Records the demo site anew, as root, for the tests that replay it.
    Record,
    /// Fuzzes what strangers control: records, files, what interpreters say of themselves.
    Fuzz(fuzz::Options),
    /// Prints the table of CPython layouts, or holds it against CPython's own headers.
    Offsets(offsets::Options),
    /// Measures what sigblame costs, beside bpftrace with the same filter.
    Bench(bench::Options),
    /// The load of `bench`, in a process of its own.
    #[command(hide = true)]
    BenchLoad(bench::LoadOptions),
    /// Runs what continuous integration runs: formatting, clippy, documentation, tests.
    Ci,
}

fn main() -> ExitCode {
    if let Some(error) = fuzz::compile() {
        eprintln!("error: failed to start the compiler: {error}");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::parse();
    let outcome = stop::listen().and_then(|()| match arguments.task {
        Task::Setup { groups } => setup::setup(&groups).map(|()| ExitCode::SUCCESS),
        Task::Run(options) => run::run(&options),
        Task::Test(options) => test::test(&options),
        Task::Matrix => test::matrix(),
        Task::Roots(options) => roots::run(&options),
        Task::Vm(options) => vm::vm(&options),
        Task::Fuzz(options) => fuzz::fuzz(&options),
        Task::Offsets(options) => offsets::offsets(&options),
        Task::Record => record::record(),
        Task::Bench(options) => bench::bench(&options),
        Task::BenchLoad(options) => bench::run_load(&options).map(|()| ExitCode::SUCCESS),
        Task::Ci => ci::ci(),
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
