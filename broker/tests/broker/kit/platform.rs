//! A scripted platform on threads of its own. It records when and with which
//! bearer each request came.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use nix::libc::linger;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Linger;

#[derive(Clone)]
pub enum Answer {
    /// A new token each time (`ghs_minted_1`, `ghs_minted_2`…) with this life.
    Mint(Duration),
    /// This token, which expires at this instant.
    Token(String, SystemTime),
    /// Status, header lines, body.
    Say(u16, String, String),
    /// The inner answer after this delay.
    Late(Duration, Box<Answer>),
    /// These bytes, and the end of the stream.
    Bytes(Vec<u8>),
    /// Nothing, and the end of the stream.
    Close,
    /// These bytes, and a reset (RST).
    Reset(Vec<u8>),
    /// No answer: the connection stays open.
    Hang,
    /// A valid answer at one byte every 100 ms.
    Drip,
    /// 200 with 64 MiB of body.
    Flood,
    /// A new token, dated by a clock that is this many seconds ahead.
    Ahead(i64),
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub bearer: String,
    /// Number of bytes of the answer that were written.
    pub written: usize,
    /// Time from the request until the answer ended or the client was gone.
    pub left_after: Option<Duration>,
}

struct State {
    answer: Answer,
    next: VecDeque<Answer>,
    asked: Vec<Asked>,
    minted: u32,
    held: bool,
    known: Option<String>,
}

#[derive(Clone)]
pub struct FakePlatform {
    pub url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

pub const HOUR: Duration = Duration::from_secs(3600);

impl FakePlatform {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            answer: Answer::Mint(HOUR),
            next: VecDeque::new(),
            asked: Vec::new(),
            minted: 0,
            held: false,
            known: None,
        };
        let platform = Self { url, state: Arc::new((Mutex::new(state), Condvar::new())) };
        let served = platform.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (one, stream) = (served.clone(), stream.unwrap());
                std::thread::spawn(move || one.serve(stream));
            }
        });
        platform
    }

    pub fn answer(&self, answer: Answer) {
        self.state.0.lock().unwrap().answer = answer;
    }

    /// Queues an answer for one of the next requests. Once the queue is empty,
    /// requests are answered as before.
    pub fn next(&self, answer: Answer) {
        self.state.0.lock().unwrap().next.push_back(answer);
    }

    pub fn fails(&self) {
        self.answer(Answer::Say(500, String::new(), r#"{"error":"token refresh failed"}"#.into()));
    }

    /// Answers 401 to every other bearer from now on.
    pub fn knows_only(&self, bearer: &str) {
        self.state.0.lock().unwrap().known = Some(bearer.into());
    }

    /// Mints tokens again, as at the start.
    pub fn recovers(&self) {
        self.answer(Answer::Mint(HOUR));
    }

    /// Number of minted tokens: `ghs_minted_1`, `ghs_minted_2`…
    pub fn minted(&self) -> u32 {
        self.state.0.lock().unwrap().minted
    }

    /// Records requests, but answers them only after [`FakePlatform::release`].
    pub fn hold(&self) {
        self.state.0.lock().unwrap().held = true;
    }

    pub fn release(&self) {
        self.state.0.lock().unwrap().held = false;
        self.state.1.notify_all();
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.0.lock().unwrap().asked.clone()
    }

    pub fn count(&self) -> usize {
        self.state.0.lock().unwrap().asked.len()
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut bearer = String::new();
        for line in BufReader::new(stream.try_clone().unwrap()).lines() {
            let Ok(line) = line else { return };
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                bearer = value.trim_start_matches("Bearer ").to_owned();
            }
            if line.is_empty() {
                break;
            }
        }
        let at = Instant::now();
        let mut state = self.state.0.lock().unwrap();
        let index = state.asked.len();
        let stranger = state.known.as_ref().is_some_and(|known| *known != bearer);
        state.asked.push(Asked { at, bearer, written: 0, left_after: None });
        let mut answer = state.next.pop_front().unwrap_or_else(|| state.answer.clone());
        if stranger {
            answer = Answer::Say(401, String::new(), r#"{"error":"unauthorized"}"#.into());
        }
        while state.held {
            state = self.state.1.wait(state).unwrap();
        }
        if let Answer::Late(..) = answer {
            drop(state);
            while let Answer::Late(wait, then) = answer {
                std::thread::sleep(wait);
                answer = *then;
            }
            state = self.state.0.lock().unwrap();
        }
        let bytes = match &answer {
            Answer::Mint(life) => {
                state.minted += 1;
                good(&format!("ghs_minted_{}", state.minted), SystemTime::now() + *life)
            }
            Answer::Token(token, dies) => good(token, *dies),
            Answer::Ahead(seconds) => {
                state.minted += 1;
                let now = shifted(*seconds);
                said_at(now, 200, "", &token_body(&format!("ghs_minted_{}", state.minted), now + HOUR))
            }
            Answer::Say(status, headers, body) => said(*status, headers, body),
            Answer::Bytes(bytes) | Answer::Reset(bytes) => bytes.clone(),
            Answer::Drip => good("ghs_dripped", SystemTime::now() + HOUR),
            Answer::Flood => b"HTTP/1.1 200 X\r\nContent-Length: 67108864\r\n\r\n{\"token\":\"".to_vec(),
            Answer::Close | Answer::Hang | Answer::Late(..) => Vec::new(),
        };
        drop(state);
        let mut written = 0;
        match answer {
            Answer::Drip => {
                for byte in bytes {
                    if stream.write_all(&[byte]).is_err() {
                        break;
                    }
                    written += 1;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            Answer::Flood => {
                let piece = [b'a'; 4096];
                let mut wrote = stream.write_all(&bytes);
                while wrote.is_ok() && written < 64 << 20 {
                    wrote = stream.write_all(&piece);
                    written += piece.len();
                }
            }
            Answer::Hang => {
                // Ends when the client closes.
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
            _ => {
                let _ = stream.write_all(&bytes);
                written = bytes.len();
                if let Answer::Reset(_) = answer {
                    // Closing doesn't wait for what the client still has to
                    // read: the kernel sends a reset (socket(7), SO_LINGER).
                    setsockopt(&stream, Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
                }
            }
        }
        let noted = &mut self.state.0.lock().unwrap().asked[index];
        noted.written = written;
        noted.left_after = Some(at.elapsed());
    }
}

pub fn good(token: &str, dies: SystemTime) -> Vec<u8> {
    said(200, "", &token_body(token, dies))
}

fn token_body(token: &str, dies: SystemTime) -> String {
    format!(r#"{{"token":"{token}","expires_at":"{}"}}"#, rfc3339(dies))
}

pub fn rfc3339(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).unwrap().to_string()
}

fn shifted(seconds: i64) -> SystemTime {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().saturating_add_signed(seconds);
    SystemTime::UNIX_EPOCH + Duration::from_secs(now)
}

fn said(status: u16, headers: &str, body: &str) -> Vec<u8> {
    said_at(SystemTime::now(), status, headers, body)
}

fn said_at(now: SystemTime, status: u16, headers: &str, body: &str) -> Vec<u8> {
    let date = httpdate::fmt_http_date(now);
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nDate: {date}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
