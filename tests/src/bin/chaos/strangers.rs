//! Strangers on the socket. They are slow, half-open or silent, send noise,
//! hang up before they get an answer, or reset the connection with the answer
//! unread.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use molecule_tests::traffic::Traffic;

use crate::dice::Dice;

const STATUS: &[u8] = b"molecule/1 status\n\n";

/// Bothers the daemon until the traffic stops. The answers don't matter.
pub(crate) fn bother(socket: &Path, traffic: &Traffic, mut dice: Dice) {
    while !traffic.stopped() {
        thread::sleep(dice.millis(20, 400));
        let Ok(mut stream) = UnixStream::connect(socket) else { continue };
        let patience = dice.millis(50, 2500);
        let _ = stream.set_read_timeout(Some(patience));
        let _ = stream.set_write_timeout(Some(patience));
        match dice.below(7) {
            // Hangs up at once, or right after the request.
            0 => {}
            1 => drop(stream.write_all(STATUS)),
            // Leaves its answer unread, which resets the connection (unix(7)).
            2 => {
                let _ = stream.write_all(STATUS);
                thread::sleep(patience.min(Duration::from_millis(300)));
            }
            // Sends half a request and waits.
            3 => {
                let _ = stream.write_all(&STATUS[..dice.below(STATUS.len())]);
                hear(&mut stream);
            }
            4 => {
                for byte in STATUS {
                    if stream.write_all(&[*byte]).is_err() {
                        break;
                    }
                    thread::sleep(dice.millis(10, 200));
                }
                hear(&mut stream);
            }
            5 => {
                let noise: Vec<u8> = (0..dice.below(16_384)).map(|_| dice.below(256) as u8).collect();
                let _ = stream.write_all(&noise);
                hear(&mut stream);
            }
            _ => hear(&mut stream),
        }
    }
}

fn hear(stream: &mut UnixStream) {
    let mut some = [0; 4096];
    while stream.read(&mut some).is_ok_and(|count| count > 0) {
        thread::sleep(Duration::from_millis(1));
    }
}
