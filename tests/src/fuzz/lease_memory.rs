//! The bytes in which leases outlive the daemon.

use std::sync::Arc;
use std::time::Duration;

use molecule_broker::credential::lease::{Lease, SourceKind};
use molecule_broker::credential::secret::Secret;
use molecule_broker::daemon::lease_memory::Snapshot;
use molecule_broker::daemon::lease_memory::format::{decode, encode};
use molecule_broker::daemon::lease_memory::{Carried, CarriedLeases};
use molecule_broker::system::time::{Deadline, Moment};
use molecule_protocol::digest;

use super::Draw;

const MAGIC_AND_VERSION: &[u8] = b"molecule-lease\x01\x00";

/// The bytes are a memory, the content of a memory with a correct digest, and
/// the random source for a valid memory.
pub fn lease_memory(bytes: &[u8]) {
    is_refused_or_the_only_form(bytes);
    is_refused_or_the_only_form(&under_a_right_digest(bytes));
    written_read_and_damaged(&mut Draw(bytes));
}

fn is_refused_or_the_only_form(memory: &[u8]) {
    if let Ok(snapshot) = decode(memory) {
        assert_eq!(&*encode(&snapshot), memory, "a memory that the daemon wouldn't write is accepted");
    }
}

fn under_a_right_digest(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut memory = [MAGIC_AND_VERSION, &length.to_le_bytes(), content].concat();
    let sha256 = digest::sha256(&memory);
    memory.extend_from_slice(&sha256);
    memory
}

fn written_read_and_damaged(draw: &mut Draw<'_>) {
    let snapshot = Snapshot::new(draw.number(), &carried(draw), 0);
    let written = encode(&snapshot);
    let read = decode(&written).expect("an encoded snapshot can be decoded");
    assert_eq!(*encode(&read), *written, "the round trip changes the memory");
    assert_eq!(shown(&read), shown(&snapshot));

    let at = draw.number() as usize % written.len();
    let mut flipped = written.to_vec();
    flipped[at] ^= 1 << draw.below(8);
    assert!(decode(&flipped).is_err(), "accepted with one bit changed at {at}");
    assert!(decode(&written[..at]).is_err(), "accepted after a cut at {at}");
    let longer = [&written[..], &[draw.byte()]].concat();
    assert!(decode(&longer).is_err(), "accepted with one more byte");
    let other = [&written[..at], &[draw.byte()], &written[at..]].concat();
    assert!(decode(&other).is_err(), "accepted with one more byte at {at}");
}

/// Returns the snapshot as text. It contains no secrets, only their hashes.
fn shown(snapshot: &Snapshot) -> String {
    format!("{} {:?}", snapshot.sequence, snapshot.to_carried(0))
}

fn carried(draw: &mut Draw<'_>) -> Carried {
    let credentials = draw.below(4);
    let one = |draw: &mut Draw<'_>| {
        let name = Arc::from(draw.text(12));
        let mut kept = CarriedLeases { fingerprint: [draw.byte(); 32], ..CarriedLeases::default() };
        kept.rejected = (0..draw.below(3)).map(|_| [draw.byte(); 32]).collect();
        kept.leases = (0..draw.below(3)).map(|_| lease(draw)).collect();
        (name, kept)
    };
    (0..credentials).map(|_| one(draw)).collect()
}

fn lease(draw: &mut Draw<'_>) -> Lease {
    let secret = Secret::password(&format!("s{}", draw.text(40))).expect("the text is printable and not too long");
    let instant = |draw: &mut Draw<'_>| Duration::from_nanos(draw.number() >> 1);
    Lease {
        username: (draw.byte() & 1 == 0).then(|| draw.text(20).into()),
        sha256: secret.sha256(),
        secret: Arc::new(secret),
        deadline: (draw.byte() & 1 == 0).then(|| Deadline { boot: instant(draw), wall: instant(draw) }),
        generation: draw.number(),
        received: Moment { boot: instant(draw), wall: instant(draw) },
        source: [SourceKind::Platform, SourceKind::Env, SourceKind::Persona, SourceKind::File, SourceKind::Command]
            [draw.below(5)],
    }
}
