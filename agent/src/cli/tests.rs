//! Flags, their precedence and the exit codes.

use clap::CommandFactory as _;

use super::*;

fn code(arguments: &[&str]) -> Option<ExitCode> {
    Cli::read(arguments.iter().copied()).err()
}

fn run(arguments: &[&str]) -> RunArgs {
    let all = ["sigblame", "run"].iter().chain(arguments).copied();
    match Cli::read(all) {
        Ok(Cli {
            command: Command::Run(args),
            ..
        }) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn clap_finds_no_fault() {
    Cli::command().debug_assert();
}

#[test]
fn a_rung_is_one_of_the_table_and_no_promise() {
    let all = ["sigblame", "doctor", "--registration-rung", "tracepoint"];
    let cli = Cli::read(all).unwrap();
    assert_eq!(cli.registration_rung.as_deref(), Some("tracepoint"));
    let other = ["sigblame", "doctor", "--registration-rung", "kprobe"];
    assert_eq!(code(&other), Some(ExitCode::from(64)));
    let help = Cli::command().render_long_help().to_string();
    assert!(!help.contains("registration-rung"), "{help}");
}

#[test]
fn usage_errors_exit_with_64_and_help_with_0() {
    for bad in [
        &["sigblame"][..],
        &["sigblame", "rum"],
        &["sigblame", "run", "--log.level", "loud"],
        &["sigblame", "run", "--web.listen-address", "localhost:1"],
        &["sigblame", "status", "--web.listen-address", "9749"],
        &["sigblame", "check-config"],
    ] {
        assert_eq!(code(bad), Some(ExitCode::from(64)), "{bad:?}");
    }
    for good in ["--help", "--version"] {
        assert_eq!(code(&["sigblame", good]), Some(ExitCode::SUCCESS));
    }
    assert_eq!(code(&["sigblame", "trace", "--json", "--all"]), None);
}

#[test]
fn a_flag_beats_the_file() {
    let path = std::env::temp_dir().join(format!("sigblame-cli-{}.yaml", std::process::id()));
    std::fs::write(
        &path,
        "log: { level: debug, format: json }\nproc_root: /a\n",
    )
    .unwrap();
    let args = run(&[
        "--config",
        path.to_str().unwrap(),
        "--log.level=warn",
        "--proc-root=/b",
    ]);
    let config = args.load().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.proc_root, Path::new("/b"));
}

/// The agent is asked where its own configuration says that it listens.
#[test]
fn status_finds_the_agent_by_its_configuration() {
    let path = std::env::temp_dir().join(format!("sigblame-status-{}.yaml", std::process::id()));
    std::fs::write(&path, "web: { listen_address: \"127.0.0.1:1234\" }\n").unwrap();
    let asked = |arguments: &[&str]| match Cli::read(["sigblame", "status"].iter().chain(arguments))
    {
        Ok(Cli {
            command: Command::Status(args),
            ..
        }) => args.load().unwrap().web.listen_address.to_string(),
        other => panic!("{other:?}"),
    };
    let file = ["--config", path.to_str().unwrap()];
    let by_file = asked(&file);
    let by_flag = asked(&[&file[..], &["--web.listen-address=[::1]:5"]].concat());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        (by_file.as_str(), by_flag.as_str()),
        ("127.0.0.1:1234", "[::1]:5")
    );
    assert_eq!(asked(&[]), "127.0.0.1:9749");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = run(&["--config", "/nowhere/x.yaml"]).load().unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read /nowhere/x.yaml: No such file or directory (os error 2); \
         name another with --config"
    );
    let error = run(&["--config", "/dev/zero"]).load().unwrap_err();
    assert!(error.to_string().contains("longer than 1 MiB"), "{error}");
}
