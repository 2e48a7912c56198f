//! A server on loopback that answers in bytes.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::Server;

/// A server that reads a request for each of these answers, and gives it; `hang` keeps the last connection open afterwards.
/// Every answer closes its connection, so that each request comes on one of its own.
pub(in crate::odoo) async fn server(answers: Vec<Vec<u8>>, hang: bool) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        let mut requests = Vec::new();
        for (place, answer) in answers.iter().enumerate() {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            requests.push(read_request(&mut stream).await);
            stream.write_all(answer).await.expect("written");
            if hang && place + 1 == answers.len() {
                std::future::pending::<()>().await;
            }
        }
        requests
    });
    (address, task)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).await.expect("read");
        text.extend_from_slice(&buffer[..read]);
        let seen = String::from_utf8_lossy(&text).into_owned();
        let whole = seen.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            body.len() >= length.unwrap_or(0)
        });
        if whole || read == 0 {
            return seen;
        }
    }
}

/// A whole answer; `extra` is header lines.
pub(in crate::odoo) fn http(status: &str, extra: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{extra}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// How to reach such a server, without much patience.
pub(in crate::odoo) fn at(address: SocketAddr) -> Server {
    // A second installation is refused, and that is fine: one process has one provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Server {
        insecure: true,
        timeout: Duration::from_millis(300),
        ..Server::new(&format!("http://{address}/"), "crm")
    }
}

/// An address on which nobody listens.
pub(in crate::odoo) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}
