//! Just enough of an HTTP/1.1 client: one request after the other on one connection, answers that declare a length.
//!
//! A general client would cost as much as the server it is to measure.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;

/// Enough for any head, and for few system calls in a large body.
const BUFFER_BYTES: usize = 256 << 10;

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

struct Head {
    status: u16,
    /// Bytes before the body.
    body_start: usize,
    body_bytes: usize,
}

/// The head at the beginning of what has come, if all of it has.
fn parse(come: &[u8]) -> Result<Option<Head>, Failure> {
    let Some(end) = come.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&come[..end])?;
    let status = text.get(9..12).ok_or("no status")?.parse()?;
    let declared = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let body_bytes = declared.ok_or_else(|| format!("no length declared: {text}"))?.parse()?;
    Ok(Some(Head { status, body_start: end + 4, body_bytes }))
}

impl Connection {
    pub(crate) async fn open(server: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads an answer to its end and answers how long its body was; an error if it is not 200.
    pub(crate) async fn answer(&mut self) -> Result<usize, Failure> {
        let mut come = 0;
        let head = loop {
            let read = self.stream.read(&mut self.buffer[come..]).await?;
            come += read;
            if let Some(head) = parse(&self.buffer[..come])? {
                break head;
            }
            if read == 0 {
                return Err("the connection ended within an answer's head".into());
            }
        };
        let mut body_come = come - head.body_start;
        if head.status != 200 {
            let text = String::from_utf8_lossy(&self.buffer[..come]);
            return Err(format!("status {}: {text}", head.status).into());
        }
        while body_come < head.body_bytes {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                return Err("the connection ended within an answer's body".into());
            }
            body_come += read;
        }
        Ok(head.body_bytes)
    }
}
