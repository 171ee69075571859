//! sigblame: reads the command line and starts what it asks for.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use sigblame::{
    audit::walk,
    cli::{
        AuditArgs, CheckConfigArgs, Cli, Command, DoctorArgs, LoadError, REACHED, RecordArgs,
        RunArgs, StatusArgs, TraceArgs, UNAVAILABLE, USAGE,
    },
    config::{Config, Log, LogFormat, LogLevel, exceptions},
    doctor::{self, Facts, HookRow, ProgramRow},
    escape,
    probe::{
        budget::BUDGETS,
        hooks::{Chosen, HookStatus, REGISTRATION},
        load,
    },
    process::scan::Scanner,
    python::layout,
    record,
    replay::replay,
    run::{Agent, Bounds, Output, Tell},
    sink::{self, http, log, metrics::Metrics},
    status,
    store::Store,
};
use tokio::{runtime, sync::oneshot};
use tracing::{info, warn};

fn main() -> ExitCode {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let rung = &cli.chosen();
    let result = match cli.command {
        Command::Run(args) => run(&args, rung),
        Command::Trace(args) => trace(&args, rung),
        Command::Status(args) => show_status(&args),
        Command::Doctor(args) => diagnose(&args, rung),
        Command::Audit(args) => audit(&args),
        Command::Record(args) => record(&args, rung),
        Command::Replay(args) => replay(&args, colour(io::stdout().is_terminal())),
        Command::CheckConfig(args) => check_config(&args),
    };
    match result {
        Ok(code) => code,
        // A reader that has seen enough, like `head`, is no failure.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sigblame: {error:#}");
            ExitCode::from(code_of(&error))
        }
    }
}

/// The exit code for what went wrong.
fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<LoadError>() {
        USAGE
    } else if error.is::<load::LoadError>() {
        UNAVAILABLE
    } else {
        1
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Colours are for terminals, and for those who have not said no (<https://no-color.org>).
fn colour(terminal: bool) -> bool {
    terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn run(args: &RunArgs, rung: &Chosen) -> Result<ExitCode> {
    let config = args.load()?;
    start_log(config.log)?;
    if let Some(directory) = &config.state_dir {
        check_state(directory)?;
    }
    check_processes(&config.proc_root)?;
    let loop_args = args.clone();
    let output = Output::Findings(config.log.format);
    wait_for(async move {
        // The port first: a second agent stops before it touches the kernel.
        let listener = http::bind(config.web.listen_address).await?;
        let shared = http::Shared::new(Metrics::new()?, Store::new(config.findings.keep));
        let probe = load::load(&layout::raw(), rung)?;
        // Not the one that was asked for: port 0 asks for any.
        let address = listener.local_addr().context("failed to read the port")?;
        info!(%address, "serving");
        let (stop_server, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(http::serve(listener, shared.clone(), async {
            let _ = stopped.await;
        }));
        let tell = Tell::new(shared, output, colour(io::stdout().is_terminal()));
        let (agent, ring) = Agent::new(&config, probe, tell);
        let mut agent = recording(agent, args)?;
        if let Some(directory) = &config.state_dir {
            agent.remember(directory)?;
        }
        // Nobody stops this agent but a signal.
        let (_keep, stop) = oneshot::channel();
        let result = agent.run(ring, move || Ok(loop_args.load()?), stop).await;
        drop(stop_server);
        server.await.context("failed to stop serving")?;
        result
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a `/proc` that is none, and says it where the host's processes do not show: the agent
/// would see nothing and say nothing.
fn check_processes(proc_root: &Path) -> Result<()> {
    if !proc_root.join("1/stat").exists() {
        let path = proc_root.to_owned();
        return Err(LoadError::ProcRoot { path }.into());
    }
    let checks = doctor::checks(&Facts::gather(proc_root), &Ok(1), &[]);
    let processes = checks.iter().find(|check| check.name == "host's processes");
    if let Some(check) = processes.filter(|check| check.state != doctor::State::Found) {
        let mend = check.mend.as_deref().unwrap_or_default();
        warn!(mend, "the host's processes do not show: {}", check.seen);
    }
    Ok(())
}

/// Keeps what the agent hears in a capture, where the flag asks for it.
fn recording(mut agent: Agent, args: &RunArgs) -> Result<Agent> {
    if let Some(path) = &args.capture {
        let file = std::fs::File::create(path)
            .with_context(|| format!("failed to make the capture {}", path.display()))?;
        let bounds = Bounds {
            size: u64::MAX,
            alone: false,
        };
        agent.record(file, bounds)?;
    }
    Ok(agent)
}

fn trace(args: &TraceArgs, rung: &Chosen) -> Result<ExitCode> {
    let config = args.load()?;
    // Only what hinders: what is traced is on standard output.
    start_log(Log {
        level: LogLevel::Warn,
        format: LogFormat::Text,
    })?;
    check_processes(&config.proc_root)?;
    let output = Output::Trace {
        json: args.json,
        all: args.all,
    };
    let reload = args.clone();
    wait_for(async move {
        let shared = http::Shared::new(Metrics::new()?, Store::new(1));
        let probe = load::load(&layout::raw(), rung)?;
        let tell = Tell::new(shared, output, colour(io::stdout().is_terminal()));
        let (agent, ring) = Agent::new(&config, probe, tell);
        let (_keep, stop) = oneshot::channel();
        agent.run(ring, move || Ok(reload.load()?), stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn record(args: &RecordArgs, rung: &Chosen) -> Result<ExitCode> {
    let config = args.load()?;
    start_log(Log {
        level: LogLevel::Warn,
        format: LogFormat::Text,
    })?;
    check_processes(&config.proc_root)?;
    let (args, reload) = (args.clone(), args.clone());
    wait_for(async move {
        let shared = http::Shared::new(Metrics::new()?, Store::new(1));
        let probe = load::load(&layout::raw(), rung)?;
        let file = record::create(&args)?;
        let tell = Tell::new(shared, Output::Nothing, false);
        let (mut agent, ring) = Agent::new(&config, probe, tell);
        let bounds = Bounds {
            size: args.max_size,
            alone: true,
        };
        agent.record(file, bounds)?;
        let (end, stop) = oneshot::channel();
        tokio::spawn(async move {
            match args.duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
            // Gone where the agent has ended by itself.
            let _ = end.send(());
        });
        agent.run(ring, move || Ok(reload.load()?), stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show_status(args: &StatusArgs) -> Result<ExitCode> {
    let address = args.load()?.web.listen_address;
    let report = runtime()?.block_on(status::ask(address))?;
    let text = if args.json {
        status::json(&report)
    } else {
        let out = io::stdout();
        status::text(
            &report,
            status::Look::of(&out, colour(out.is_terminal()), args.all),
        )
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn diagnose(args: &DoctorArgs, rung: &Chosen) -> Result<ExitCode> {
    let proc_root = args
        .proc_root
        .clone()
        .unwrap_or_else(|| Config::default().proc_root);
    let facts = Facts::gather(&proc_root);
    let looks = Scanner::new(&proc_root).all();
    let masters = looks
        .iter()
        .filter(|look| look.has_mod_wsgi && look.found.parent.is_none());
    let servers = Ok(masters.count());
    let _runtime = runtime()?;
    let _guard = _runtime.enter();
    let (hooks, programs) = match load::try_load(&layout::raw(), rung) {
        Ok(probe) => {
            let costs = probe.controls.verified_instructions();
            (
                probe.hooks.into_iter().map(hook_row).collect(),
                program_rows(&costs),
            )
        }
        Err(error) => {
            let row = HookRow {
                hook: REGISTRATION.to_owned(),
                mechanism: "any".to_owned(),
                required: true,
                attached: false,
                error: Some(error.to_string()),
            };
            (vec![row], Vec::new())
        }
    };
    let checks = doctor::checks(&facts, &servers, &hooks);
    let format = if args.json {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    print(&doctor::render(&checks, &programs, format))?;
    Ok(if doctor::is_well(&checks) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn hook_row(status: HookStatus) -> HookRow {
    HookRow {
        hook: status.hook.to_owned(),
        mechanism: status.mechanism.to_owned(),
        required: status.required,
        attached: status.attached,
        error: status.reason,
    }
}

fn program_rows(costs: &[(String, Option<u32>)]) -> Vec<ProgramRow> {
    let row = |(name, budget): &(&str, u32)| {
        let cost = costs.iter().find(|(loaded, _)| loaded == name);
        ProgramRow {
            name: (*name).to_owned(),
            loaded: cost.is_some(),
            verified_instructions: cost.and_then(|(_, instructions)| *instructions),
            budget: *budget,
        }
    };
    BUDGETS.iter().map(row).collect()
}

fn audit(args: &AuditArgs) -> Result<ExitCode> {
    let report = walk::audit(&args.paths, args.only_import)?;
    let restriction = args.restrict_signal;
    let text = if args.json {
        escape::json(&report)? + "\n"
    } else {
        sink::audit::text(&report, restriction, colour(io::stdout().is_terminal()))
    };
    print(&text)?;
    let worst = report.worst.under(restriction);
    Ok(match (args.fail_on, worst) {
        (Some(limit), Some(worst)) if worst >= limit => ExitCode::from(REACHED),
        _ => ExitCode::SUCCESS,
    })
}

fn check_config(args: &CheckConfigArgs) -> Result<ExitCode> {
    let config = args.load()?;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let comments = exceptions::comments(&config.exceptions, today.date());
    print(&format!("{}{comments}", config.effective()))?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn start_log(settings: Log) -> Result<()> {
    log::start(settings, colour(io::stderr().is_terminal())).map_err(anyhow::Error::msg)
}

/// Runs until the work is done. A file that hangs does not hold up the end: whoever reads it then
/// goes with the process.
fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// One thread for the loop, one for the endpoints: a slow reader of `/metrics` does not hold up
/// the ring.
fn runtime() -> Result<runtime::Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("failed to start the runtime")
}

/// Findings will be kept there: better to hear now than at the first one that it cannot be.
fn check_state(directory: &Path) -> Result<()> {
    let advice = || {
        format!(
            "failed to write to the state directory {}; make it writable, or choose another \
             with --state-dir",
            directory.display()
        )
    };
    std::fs::create_dir_all(directory).with_context(advice)?;
    let probe = directory.join(".sigblame-write-test");
    std::fs::write(&probe, b"").with_context(advice)?;
    std::fs::remove_file(&probe).with_context(advice)
}
