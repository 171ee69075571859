//! The smallest client of the agent's own endpoints: plain HTTP, everything with a limit.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::{self, Body},
    http::{Request, StatusCode, header},
};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time};

use crate::escape;

/// How long each answer may take; the agent itself gives up before.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer: some thousands of workers.
const LIMIT: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there.
    #[error(
        "failed to reach a running agent at {address}: {reason}; start one with `sigblame run`, or \
         say with --web.listen-address where it listens"
    )]
    Nobody {
        /// Where.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// Something answers, and it is not what was asked for.
    #[error(
        "failed to read the answer to http://{address}{path}: {reason}; see that sigblame of this \
         version listens there"
    )]
    Stranger {
        /// Where.
        address: SocketAddr,
        /// Which page.
        path: &'static str,
        /// What came.
        reason: String,
    },
    /// The agent says why it cannot tell.
    #[error(
        "failed to get the status from the agent at {address}: {}",
        escape::text(sentence)
    )]
    Refused {
        /// Where.
        address: SocketAddr,
        /// What the agent says.
        sentence: String,
    },
}

/// A connection to the agent.
pub(super) struct Client {
    address: SocketAddr,
    sender: SendRequest<Body>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

impl Client {
    /// Connects. Where the agent listens on every address, its own answers: to Linux, the address of
    /// any interface is the loopback interface's (`ip_route_output_key_hash_rcu` in
    /// net/ipv4/route.c, `tcp_v6_connect` in net/ipv6/tcp_ipv6.c, Linux 5.10 to 7.3).
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, AskError> {
        let nobody = |reason: String| AskError::Nobody { address, reason };
        let stream = time::timeout(PATIENCE, TcpStream::connect(address))
            .await
            .map_err(|_| nobody("nobody answers".to_owned()))?
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::ConnectionRefused => nobody("nobody listens there".to_owned()),
                _ => nobody(error.to_string()),
            })?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| nobody(error.to_string()))?;
        // Its errors come out of the request that they end.
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// Asks for a page that answers in JSON.
    pub(super) async fn get<T: DeserializeOwned>(
        &mut self,
        path: &'static str,
    ) -> Result<T, AskError> {
        let address = self.address;
        let stranger = |reason: String| AskError::Stranger {
            address,
            path,
            reason,
        };
        let (status, bytes) = time::timeout(PATIENCE, self.request(path))
            .await
            .map_err(|_| stranger(format!("it takes longer than {PATIENCE:?}")))?
            .map_err(|error| stranger(error.to_string()))?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&bytes).map_err(|error| {
                // The sentence quotes what came.
                stranger(escape::text(&format!("it is no status ({error})")).to_string())
            });
        }
        match serde_json::from_slice(&bytes) {
            Ok(ErrorBody { error }) if status == StatusCode::SERVICE_UNAVAILABLE => {
                Err(AskError::Refused {
                    address,
                    sentence: error,
                })
            }
            _ => Err(stranger(format!("its status is {status}"))),
        }
    }

    async fn request(
        &mut self,
        path: &str,
    ) -> Result<(StatusCode, body::Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let request = Request::get(path)
            .header(header::HOST, self.address.to_string())
            .body(Body::empty())?;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let bytes = body::to_bytes(Body::new(body), LIMIT).await?;
        Ok((head.status, bytes))
    }
}
