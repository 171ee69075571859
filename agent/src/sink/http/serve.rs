//! The accept loop. axum's own has neither a limit on connections nor one on a head's time.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time,
};

use super::{Shared, router};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 128;

/// Time for a client to send a request's head, or to begin another request.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Longest head of a request, and most headers in it.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;

/// Time for requests under way when the agent stops.
const GRACE: Duration = Duration::from_secs(2);

/// Pause after the system refused a connection, as it does when descriptors run out.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until `shutdown` is ready, then lets requests under way come to their end.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let app = router(shared);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut shutdown => break,
            (permit, accepted) = next => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(error) => {
                    rest(&error).await;
                    continue;
                }
            },
        };
        let connection = graceful.watch(connection(stream, app.clone()));
        tokio::spawn(async move {
            // A client that breaks off or sends nonsense is its own concern.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = time::timeout(GRACE, graceful.shutdown()).await;
}

/// A client that went away before it was served is no reason to wait; want of descriptors is.
async fn rest(error: &io::Error) {
    let gone = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
    ];
    if !gone.contains(&error.kind()) {
        tracing::warn!("failed to accept a connection: {error}");
        time::sleep(PAUSE).await;
    }
}

fn connection(
    stream: TcpStream,
    app: Router,
) -> http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
}
