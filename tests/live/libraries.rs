//! temp

use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Installation, Mpm, Place},
    libraries::{Environment, java},
    package_dir,
};

use crate::support::ask;

fn builder(mpm: Mpm) -> Builder {
    let mut installation = Installation::find().unwrap();
    installation.python_home = Some(Environment::find().unwrap().home().to_path_buf());
    let apps = package_dir().join("apps");
    let mut builder = Builder::on(installation, mpm)
        .unwrap()
        .files(&apps.join("demo"))
        .unwrap()
        .files(&apps.join("libraries"))
        .unwrap();
    sigblame_tests::demo::compile(&apps.join("demo/takeover.c"), &builder.app_dir().join("libtakeover.so")).unwrap();
    if let Some(home) = java() {
        builder = builder.env("JAVA_HOME", home.to_str().unwrap());
    }
    builder
}

fn show(what: &str, lines: &[Value]) {
    println!("  -- {what}: {} lines", lines.len());
    for l in lines {
        println!(
            "  {} {} tid-main={} {}({})->{}({}) {} blame={} mod={} native={}",
            l["signal"]["name"], l["origin"], l["thread"]["main"],
            l["change"]["old"]["kind"], l["change"]["old"]["owner"],
            l["change"]["new"]["kind"], l["change"]["new"]["owner"],
            l["outcome"], l["blame"]["line"], l["blame"]["module"], l["native"]["result"]
        );
        let py: Vec<String> = l["python"]["frames"].as_array().unwrap().iter().take(6).map(|f| format!("{}:{}:{}", f["file"].as_str().unwrap().rsplit('/').next().unwrap(), f["line"], f["function"].as_str().unwrap())).collect();
        println!("      py {} {}", l["python"]["result"], py.join(" < "));
        let n: Vec<String> = l["native"]["frames"].as_array().unwrap().iter().take(14).map(|f| format!("{}!{}+{}", f["module"].as_str().unwrap(), f["symbol"].as_str().unwrap_or("?"), f["offset"])).collect();
        println!("      na[{}] {}", l["native"]["frames"].as_array().unwrap().len(), n.join(" < "));
    }
}

#[test]
fn explore() {
    let uses = std::env::var("USES").unwrap();
    let at = std::env::var("AT").unwrap_or("daemon".into());
    let agent = Agent::start().unwrap();
    for name in uses.split(',') {
        println!("==== {name} {at}");
        let mut b = builder(if at == "prefork" { Mpm::Prefork } else { Mpm::Event });
        if std::env::var("OFF").is_ok() { b = b.restrict(false); }
        let place = Place::daemon(name, "%{GLOBAL}");
        b = b.daemon(name, "processes=1 threads=3").script("/daemon", "application.py", &place);
        if at == "import" { b = b.import_script("at_import.py", &place); }
        b = b.script("/", "application.py", &Place::embedded("%{GLOBAL}"));
        let args = std::env::var("ALL").is_ok().then_some("--all");
        let trace = Trace::start(args.as_slice()).unwrap();
        let start = std::time::Instant::now();
        let server = b.start().unwrap();
        let path = match at.as_str() { "import" => format!("/daemon/imported/{name}"), "daemon" => format!("/daemon/{name}"), _ => format!("/{name}") };
        let answer = ask(&server, &path);
        println!("  answer after {:?}: main={} failure={} notes={}", start.elapsed(), answer["main_thread"], answer["failure"].as_str().unwrap_or("-"), answer["notes"]);
        for c in answer["calls"].as_array().into_iter().flatten() { println!("   call {} {} {}", c["signals"], c["frames"][0]["line"], c["frames"].as_array().unwrap().len()); }
        let lines = trace.finish(server.pid()).unwrap();
        show(name, &lines);
        std::thread::sleep(std::time::Duration::from_millis(300));
        for f in agent.findings(server.pid()).unwrap() {
            println!("  finding {} {} {} x{} also {} :: {}", f["rule"], f["signal"]["name"], f["state"], f["count"], f["also"], f["message"]);
        }
        println!("{}", server.error_log().lines().filter(|l| !l.contains("notice")).take(12).collect::<Vec<_>>().join("\n"));
        let s = std::time::Instant::now();
        let e = server.stop();
        println!("  stop {:?} {:?}", s.elapsed(), e);
        std::fs::write(format!("/tmp/liblab/{name}-{at}.json"), serde_json::to_string_pretty(&lines).unwrap()).unwrap();
    }
}
