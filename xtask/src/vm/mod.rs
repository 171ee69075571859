//! Tries the agent on other kernels, each in a virtual machine: every program on every rung, and a
//! whole stack of a real httpd with mod_wsgi, frame by frame as the interpreter itself has it.
//!
//! Times in an emulated machine say nothing; whether a kernel takes a program, and what its
//! verifier makes of it, is the same as on a real one.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, bail};
use sigblame_tests::{
    roots::{Root, SUITES},
    scratch::Scratch,
};

use self::judge::{Program, Verdict};
use crate::{
    packages::{self, Group},
    progress, roots, setup, stop,
    workspace::{cargo_run, is_root, target_dir},
};

mod guest;
mod image;
mod judge;
mod kernels;

/// On which kernels, with which programs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Series of kernels; all of them when none is given.
    #[arg(
        value_name = "KERNEL",
        value_parser = clap::builder::PossibleValuesParser::new(kernels::SERIES)
    )]
    kernels: Vec<String>,
    /// The Debian whose httpd, mod_wsgi and CPython run there.
    #[arg(
        long,
        default_value = "trixie",
        value_parser = clap::builder::PossibleValuesParser::new(SUITES)
    )]
    suite: String,
}

/// Boots each kernel and prints the table.
pub(crate) fn vm(options: &Options) -> Result<ExitCode> {
    if !is_root() || !cfg!(target_arch = "x86_64") {
        bail!(
            "failed to make a machine: run `cargo xtask vm` in a root shell, on x86-64, whose \
             kernels and programs run in it"
        );
    }
    let mut series: Vec<&str> = options.kernels.iter().map(String::as_str).collect();
    if series.is_empty() {
        series = kernels::SERIES.to_vec();
    }
    setup::setup(&[])?;
    let mut steps = vec![packages::step(Group::Vm)];
    for name in &series {
        steps.push(kernels::step(name)?);
    }
    progress::perform(steps)?;
    let root = roots::make(&[&options.suite])?.pop();
    let root = root.context("failed to find the root that was made")?;
    // An emulated processor is slow, and the agent gives a process only so much of its time.
    cargo_run(&["build", "--release", "-p", "sigblame"], &[])?;

    let _deferred = stop::defer();
    let scratch = Scratch::new("image")?;
    let agent = target_dir()?.join("release/sigblame");
    let image = image::make(&scratch, &root, &agent)?;
    let mut verdicts = Vec::new();
    for name in series {
        let verdict = try_kernel(name, &image, &root)?;
        println!("kernel {name} ({})", verdict.release);
        for stack in &verdict.stacks {
            println!("  {stack}");
        }
        for fault in &verdict.faults {
            println!("  FAILED {fault}");
        }
        verdicts.push((name, verdict));
    }
    print!("\n{}", table(&verdicts));
    let faults: usize = verdicts.iter().map(|(_, v)| v.faults.len()).sum();
    println!("\n{} kernels, {faults} faults", verdicts.len());
    Ok(if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn try_kernel(series: &str, image: &std::path::Path, root: &Root) -> Result<Verdict> {
    let kernel = kernels::find(series)?;
    let kernel = kernel.with_context(|| format!("failed to find kernel {series}"))?;
    let boot = || {
        let begin = Instant::now();
        eprintln!(
            "booting {} with the programs of Debian {} …",
            kernel.display(),
            root.suite()
        );
        let said = guest::run(&kernel, image)?;
        eprintln!("… which took {} s", begin.elapsed().as_secs());
        Ok::<_, anyhow::Error>(said)
    };
    let mut said = boot()?;
    if said.died_early() {
        // Seen with QEMU 7.2 and 6.12, in two of five boots.
        eprintln!(
            "kernel {series} died before it started a program; once more, for the emulator may be \
             to blame. Its console ends with:\n{}",
            said.console
        );
        said = boot()?;
    }
    let mut verdict = Verdict::of(&said.lines);
    if said.died_early() || !verdict.faults.is_empty() {
        let console = format!("its console ends with:\n{}", said.console);
        verdict.faults.push(console);
    }
    Ok(verdict)
}

/// Programs by kernels: how many instructions each verifier looked at.
fn table(verdicts: &[(&str, Verdict)]) -> String {
    let names: Vec<&str> = verdicts.iter().map(|(name, _)| *name).collect();
    let mut rows = vec![
        format!("| program | {} | budget |", names.join(" | ")),
        format!("|---|{}", "---|".repeat(names.len() + 1)),
    ];
    let whole = verdicts.iter().max_by_key(|(_, v)| v.programs.len());
    for program in whole.into_iter().flat_map(|(_, v)| &v.programs) {
        let cells = verdicts.iter().map(|(_, verdict)| {
            let found = verdict.programs.iter().find(|p| p.name == program.name);
            cell(found)
        });
        let cells: Vec<String> = cells.collect();
        rows.push(format!(
            "| `{}` | {} | {} |",
            program.name,
            cells.join(" | "),
            grouped(program.budget)
        ));
    }
    rows.push(String::new());
    rows.join("\n")
}

fn cell(program: Option<&Program>) -> String {
    match program {
        Some(Program {
            attached: true,
            cost,
            ..
        }) => match cost {
            Some(cost) => grouped(*cost),
            // Before 5.16.
            None => "attached; the kernel does not tell".to_owned(),
        },
        _ => "NOT ATTACHED".to_owned(),
    }
}

/// `98492` as `98,492`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
