//! A bounded load generator for HTTP/1.1 with keep-alive: one connection a task, one request at a time on each.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What one run of load gave.
#[derive(Debug, Default, Clone)]
pub struct Load {
    /// Answers with the expected status: what the rate and the times are of.
    pub answered: u64,
    pub per_second: f64,
    pub p50_millis: f64,
    pub p99_millis: f64,
    /// Answers with another status than the expected one, and the first of them.
    pub refused: u64,
    pub first_refusal: Option<String>,
}

/// Sends what `request` makes of 0, 1, 2, … over so many connections for so long. `expected` is the status of a good answer.
pub fn run(
    address: SocketAddr,
    connections: usize,
    duration: Duration,
    expected: u16,
    first: u64,
    request: &dyn Fn(u64) -> String,
) -> Result<Load, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let next = std::cell::Cell::new(first);
    let begun = Instant::now();
    let clients = (0..connections).map(|_| client(address, begun + duration, expected, &next, request));
    let results = runtime.block_on(join_all(clients.collect()));
    let elapsed = begun.elapsed().as_secs_f64();

    let mut load = Load::default();
    let mut micros = Vec::new();
    for result in results {
        let (times, refused, first_refusal) = result.map_err(|error| format!("a connection broke: {error}"))?;
        load.refused += refused;
        load.first_refusal = load.first_refusal.or(first_refusal);
        micros.extend(times);
    }
    micros.sort_unstable();
    load.answered = micros.len() as u64;
    load.per_second = load.answered as f64 / elapsed;
    let at = |share: f64| micros.get((micros.len() as f64 * share) as usize).copied().unwrap_or_default();
    load.p50_millis = f64::from(at(0.50)) / 1000.0;
    load.p99_millis = f64::from(at(0.99)) / 1000.0;
    Ok(load)
}

/// One request, and the body of its answer.
pub fn once(address: SocketAddr, request: &str) -> Result<(u16, String), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime
        .block_on(async {
            let mut stream = TcpStream::connect(address).await?;
            let mut buffer = Vec::new();
            let (status, head) = exchange(&mut stream, request, &mut buffer).await?;
            Ok::<_, std::io::Error>((status, String::from_utf8_lossy(&buffer[head..]).into_owned()))
        })
        .map_err(|error| error.to_string())
}

type Times = (Vec<u32>, u64, Option<String>);

async fn client(
    address: SocketAddr,
    until: Instant,
    expected: u16,
    next: &std::cell::Cell<u64>,
    request: &dyn Fn(u64) -> String,
) -> std::io::Result<Times> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut micros, mut refused, mut first_refusal) = (Vec::new(), 0, None);
    let mut buffer = Vec::with_capacity(64 * 1024);
    while Instant::now() < until {
        let number = next.get();
        next.set(number + 1);
        let text = request(number);
        let begun = Instant::now();
        let (status, head) = exchange(&mut stream, &text, &mut buffer).await?;
        if status == expected {
            micros.push(begun.elapsed().as_micros() as u32);
        } else {
            refused += 1;
            first_refusal.get_or_insert_with(|| format!("{status}: {}", String::from_utf8_lossy(&buffer[head..])));
        }
    }
    Ok((micros, refused, first_refusal))
}

/// Writes a request and reads its answer into the buffer; the status, and where the body begins.
async fn exchange(stream: &mut TcpStream, request: &str, buffer: &mut Vec<u8>) -> std::io::Result<(u16, usize)> {
    stream.write_all(request.as_bytes()).await?;
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
    let length: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or_default();
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((status, head))
}

/// All of the futures, on this one thread.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}
