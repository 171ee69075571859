//! `sigblame status`: asks the running agent what it knows, and shows it.

mod client;
mod standing;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::net::SocketAddr;

use self::client::Client;
pub use self::{
    client::AskError,
    text::{Look, text},
};
use crate::{
    engine::status::{Report, Status, Workers},
    escape,
};

/// Asks the agent that listens there.
///
/// The endpoints are asked one after the other: a worker that came or went in between is in one
/// answer only.
///
/// # Errors
///
/// Where there is no agent, or it gives no status.
pub async fn ask(address: SocketAddr) -> Result<Report, AskError> {
    let mut client = Client::connect(address).await?;
    let status: Status = client.get("/api/v1/status").await?;
    let Workers { workers } = client.get("/api/v1/workers").await?;
    Ok(Report { status, workers })
}

/// The report as one object of JSON, with a line break at the end.
#[must_use]
pub fn json(report: &Report) -> String {
    // Strings, numbers and flags always have a form in JSON.
    let mut line = escape::json(report).unwrap_or_default();
    line.push('\n');
    line
}
