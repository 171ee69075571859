//! The endpoints over a real socket, as curl would ask.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    engine::status::sample as state,
    escape::tests::{HOSTILE, is_quiet},
    policy::sample,
    sink::metrics::Metrics,
};

struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start() -> Server {
    let shared = Shared::new(Metrics::new().unwrap(), Store::new(1000));
    for number in 0..3 {
        let mut finding = sample::finding();
        finding.id = format!("id{number}");
        finding.time = format!("2026-01-31T12:0{number}:00.000000Z");
        finding.evidence.blame.file = Some(HOSTILE.to_owned());
        shared.store().put(&finding);
    }
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, Arc::clone(&shared), async {
        let _ = stopped.await;
    }));
    Server {
        address,
        shared,
        stop,
        task,
    }
}

impl Server {
    /// Status, head and body of an answer.
    async fn ask(&self, method: &str, target: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn json(&self, target: &str) -> (u16, Value) {
        let (status, head, body) = self.ask("GET", target).await;
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(body.lines().all(is_quiet), "{body:?}");
        (status, serde_json::from_str(&body).unwrap())
    }
}

fn ids(body: &Value) -> Vec<&str> {
    let findings = body["findings"].as_array().unwrap();
    findings.iter().map(|f| f["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn findings_come_page_by_page_and_one_by_one() {
    let server = start().await;
    let (status, first) = server.json("/api/v1/findings?limit=2&state=open").await;
    assert_eq!((status, ids(&first)), (200, vec!["id2", "id1"]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("/api/v1/findings?limit=2&cursor={cursor}");
    let (status, second) = server.json(&next).await;
    assert_eq!((status, ids(&second)), (200, vec!["id0"]));
    assert_eq!(second["next_cursor"], Value::Null);
    let (status, one) = server.json("/api/v1/findings/id1").await;
    assert_eq!((status, &one["id"]), (200, &Value::from("id1")));
    assert_eq!(one["blame"]["file"], Value::from(HOSTILE));
}

#[tokio::test]
async fn errors_are_a_sentence_with_the_fitting_status() {
    let server = start().await;
    for (target, status, sentence) in [
        (
            "/api/v1/findings?limit=x",
            400,
            "failed to read limit=\"x\": it can be a number from 1 to 1000",
        ),
        (
            "/api/v1/findings/nothing",
            404,
            "no finding has this id; it may be older than what is kept",
        ),
        (
            "/nowhere",
            404,
            "nothing is served at \"/nowhere\"; / lists what is",
        ),
        (
            "/-/ready",
            503,
            "sigblame is not ready: the kernel hooks are not attached yet",
        ),
    ] {
        let (got, body) = server.json(target).await;
        assert_eq!((got, &body["error"]), (status, &Value::from(sentence)));
    }
    for target in [
        "/api/v1/findings?since=%ff",
        "/api/v1/findings/%ff",
        "/%00%1b",
    ] {
        let (status, body) = server.json(target).await;
        assert!((400..=404).contains(&status), "{target}: {status}");
        assert!(body["error"].is_string(), "{target}: {body}");
    }
    let (status, head, body) = server.ask("POST", "/metrics").await;
    assert_eq!(status, 405);
    assert!(head.contains("allow: get,head"), "{head}");
    assert!(body.contains("\"error\":"), "{body}");
}

#[tokio::test]
async fn readiness_follows_the_agent() {
    let server = start().await;
    server.shared.set_ready();
    assert_eq!(server.ask("GET", "/-/ready").await.0, 200);
    server.shared.set_not_ready("the ring is gone");
    let (status, body) = server.json("/-/ready").await;
    assert_eq!(status, 503);
    assert_eq!(body["error"], "sigblame is not ready: the ring is gone");
    assert_eq!(server.ask("GET", "/-/healthy").await.0, 200);
}

/// The loop's part: it answers until nobody can ask any longer.
fn answer(server: &Server) {
    let mut questions = server.shared.questions().unwrap();
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let _ = question.send(Arc::new(state::snapshot()));
        }
    });
}

#[tokio::test]
async fn the_status_has_servers_and_hooks_and_the_workers_are_a_list() {
    let server = start().await;
    server.shared.set_ready();
    let hook = state::hook("registration", "fexit", Some("not permitted"));
    server.shared.hook(hook);
    answer(&server);
    let (status, body) = server.json("/api/v1/status").await;
    assert_eq!((status, &body["schema"]), (200, &Value::from(1)));
    assert_eq!(body["agent"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(body["hooks"][0]["mechanism"], "fexit");
    assert_eq!(body["hooks"][0]["attached"], false);
    assert_eq!(body["servers"][0]["restrict_signal_from"], "default");
    assert_eq!(body["workers"], Value::Null, "they have an endpoint");
    let (status, body) = server.json("/api/v1/workers").await;
    assert_eq!((status, body.as_object().unwrap().len()), (200, 1));
    let workers = body["workers"].as_array().unwrap();
    assert_eq!((workers.len(), &workers[0]["pid"]), (3, &Value::from(43)));
    let term = &workers[1]["signals"][14];
    assert_eq!(
        (&term["name"], &term["kind"]),
        (&"SIGTERM".into(), &"handler".into())
    );
    assert_eq!(term["taken_by"]["id"], "0123456789abcdef");
}

/// Nobody waits for ever, and nobody is told what is not known.
#[tokio::test(start_paused = true)]
async fn who_asks_an_agent_that_cannot_answer_is_told_why() {
    let server = start().await;
    let refused = async |sentence: &str| {
        let (status, body) = server.json("/api/v1/workers").await;
        assert_eq!((status, &body["error"]), (503, &Value::from(sentence)));
    };
    refused("sigblame is not ready: the kernel hooks are not attached yet").await;
    server.shared.set_ready();
    let asked = tokio::time::Instant::now();
    refused("sigblame is too busy to answer within 5 seconds; ask again").await;
    assert!(asked.elapsed() < Duration::from_secs(6));
    // The one that was given up still waits in the queue, and is seen to be.
    let mut questions = server.shared.questions().unwrap();
    assert!(questions.recv().await.unwrap().is_closed());
    assert!(server.shared.questions().is_none(), "one loop answers");
    let all = std::iter::repeat_with(|| server.ask("GET", "/api/v1/status"));
    let mut waiting: Vec<_> = all.take(200).map(Box::pin).collect();
    let mut too_many = 0;
    for asked in &mut waiting {
        let (status, _, body) = asked.await;
        assert_eq!(status, 503);
        too_many += usize::from(body.contains("too many ask"));
    }
    assert_eq!(too_many, 200 - 128);
    drop(questions);
    refused("sigblame is stopping").await;
}

#[tokio::test]
async fn metrics_and_page_are_served_with_their_types() {
    let server = start().await;
    let (status, head, body) = server.ask("GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
    assert!(body.contains("sigblame_build_info{"));
    let (status, head, body) = server.ask("GET", "/").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-security-policy: default-src 'none'"));
    assert!(body.contains("/api/v1/findings"));
    assert_eq!(server.ask("HEAD", "/metrics").await.2, "");
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_sentence() {
    let server = start().await;
    let error = bind(server.address).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to listen on {}: address already in use; choose another with \
             --web.listen-address",
            server.address
        )
    );
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = start().await;
    let target = format!("/{}", "x".repeat(20_000));
    let (status, ..) = server.ask("GET", &target).await;
    assert!(status == 431 || status == 414, "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    timeout(Duration::from_secs(60), end)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn it_stops_when_told_even_with_an_idle_client() {
    let server = start().await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    server.ask("GET", "/-/healthy").await;
    server.stop.send(()).unwrap();
    timeout(Duration::from_secs(10), server.task)
        .await
        .unwrap()
        .unwrap();
    drop(idle);
}
