//! A line between the service and its database that can fail in every way that lines do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::cluster::PASSWORD;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Pass,
    /// Refuses connections and ends those that stand.
    Refuse,
    /// The same with a reset (RST).
    Reset,
    /// Takes everything and hands nothing on.
    Swallow,
    /// Hands everything on so much later.
    Delay(Duration),
    /// Ends the connection at the message of that number from the client, counted from now on.
    CutAt {
        message: u64,
        handed_on: bool,
    },
    /// The same at the message that holds COMMIT.
    CutAtCommit {
        handed_on: bool,
    },
}

pub struct Wire {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    line: Mutex<Line>,
    target: Mutex<PathBuf>,
    messages: AtomicU64,
    cut: AtomicBool,
}

impl Wire {
    pub fn to(socket: PathBuf) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            line: Mutex::new(Line::Pass),
            target: Mutex::new(socket),
            messages: AtomicU64::new(0),
            cut: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                match accepting.line() {
                    Line::Refuse => drop(client),
                    Line::Reset => reset(&client),
                    _ => {
                        let shared = accepting.clone();
                        let target = shared.target.lock().unwrap().clone();
                        let Ok(server) = UnixStream::connect(target) else {
                            continue;
                        };
                        std::thread::spawn(move || shared.carry(client, server));
                    }
                }
            }
        });
        Wire { shared, port }
    }

    /// The database's address for the service.
    pub fn url(&self) -> String {
        format!(
            "postgresql://kompetens_service:{PASSWORD}@127.0.0.1:{}/kompetens?sslmode=disable&gssencmode=disable",
            self.port
        )
    }

    pub fn is(&self, line: Line) {
        self.shared.messages.store(0, Ordering::SeqCst);
        self.shared.cut.store(false, Ordering::SeqCst);
        *self.shared.line.lock().unwrap() = line;
    }

    /// New connections go to another server.
    pub fn leads_to(&self, socket: PathBuf) {
        *self.shared.target.lock().unwrap() = socket;
    }

    /// Was a connection cut since the line was set?
    pub fn has_cut(&self) -> bool {
        self.shared.cut.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn line(&self) -> Line {
        *self.line.lock().unwrap()
    }

    fn carry(self: Arc<Self>, mut client: TcpStream, mut server: UnixStream) {
        let tick = Some(Duration::from_millis(5));
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(tick).unwrap();
        server.set_read_timeout(tick).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let back = {
            let ended = ended.clone();
            let (mut client, mut server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            let shared = self.clone();
            std::thread::spawn(move || {
                let mut chunk = [0; 65536];
                while let Some(count) = shared.read(&mut server, &mut chunk) {
                    match shared.line() {
                        // the connection that is being cut hears nothing more
                        _ if ended.load(Ordering::SeqCst) => break,
                        Line::Swallow => continue,
                        Line::Delay(by) => std::thread::sleep(by),
                        _ => {}
                    }
                    if client.write_all(&chunk[..count]).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
            })
        };
        let mut chunk = [0; 65536];
        let mut pending = Vec::new();
        let mut started = false;
        'carrying: while let Some(count) = self.read(&mut client, &mut chunk) {
            pending.extend_from_slice(&chunk[..count]);
            while let Some(message) = take_message(&mut pending, started) {
                started = true;
                let number = self.messages.fetch_add(1, Ordering::SeqCst) + 1;
                let cut = match self.line() {
                    Line::Swallow => continue,
                    Line::CutAt { message, handed_on } if number == message => Some(handed_on),
                    Line::CutAtCommit { handed_on }
                        if message.windows(6).any(|text| text == b"COMMIT") =>
                    {
                        Some(handed_on)
                    }
                    _ => None,
                };
                if cut.is_some() {
                    self.cut.store(true, Ordering::SeqCst);
                    ended.store(true, Ordering::SeqCst);
                    // others are not concerned
                    *self.line.lock().unwrap() = Line::Pass;
                }
                if cut != Some(false) && server.write_all(&message).is_err() {
                    break 'carrying;
                }
                if cut.is_some() {
                    // what was handed on is carried out, and nobody hears of it
                    std::thread::sleep(Duration::from_millis(10));
                    break 'carrying;
                }
            }
        }
        if self.line() == Line::Reset {
            reset(&client);
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        let _ = back.join();
    }

    /// What comes next; `None` when the connection is to end.
    fn read(&self, from: &mut impl Read, chunk: &mut [u8]) -> Option<usize> {
        loop {
            if matches!(self.line(), Line::Refuse | Line::Reset) {
                return None;
            }
            match from.read(chunk) {
                Ok(0) => return None,
                Ok(count) => return Some(count),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return None,
            }
        }
    }
}

fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// One whole message of PostgreSQL's protocol; the first of a connection has no type.
fn take_message(pending: &mut Vec<u8>, started: bool) -> Option<Vec<u8>> {
    let header = usize::from(started);
    let length = pending.get(header..header + 4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize + header;
    (pending.len() >= length).then(|| pending.drain(..length).collect())
}
