use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn lease() -> impl Strategy<Value = Lease> {
    let instant = || any::<u64>().prop_map(Duration::from_nanos);
    let secret = "[ -~é]{1,80}".prop_map(|text| Secret::password(&text).unwrap());
    let source = prop_oneof![
        Just(SourceKind::Platform),
        Just(SourceKind::Env),
        Just(SourceKind::Persona),
        Just(SourceKind::File),
        Just(SourceKind::Command)
    ];
    let deadline = option::of((instant(), instant()).prop_map(|(boot, wall)| Deadline { boot, wall }));
    let received = (instant(), instant()).prop_map(|(boot, wall)| Moment { boot, wall });
    (option::of("[ -~]{0,20}"), secret, deadline, any::<u64>(), received, source).prop_map(
        |(username, secret, deadline, generation, received, source)| Lease {
            username: username.map(Into::into),
            sha256: secret.sha256(),
            secret: Arc::new(secret),
            deadline,
            generation,
            received,
            source,
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let leases = (vec(lease(), 0..3), vec(any::<[u8; 32]>(), 0..3), any::<[u8; 32]>())
        .prop_map(|(leases, rejected, fingerprint)| CarriedLeases { leases, rejected, fingerprint });
    let carried = proptest::collection::btree_map("[a-z]{1,12}".prop_map(Arc::from), leases, 0..4);
    (any::<u64>(), carried).prop_map(|(sequence, carried)| Snapshot { sequence, carried })
}

/// Returns the snapshot as text. `Debug` doesn't show secrets, so they are
/// compared by their digests.
fn shown(snapshot: &Snapshot) -> String {
    format!("{snapshot:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_encoded_snapshot_is_decoded_unchanged(snapshot in snapshot()) {
        let read = decode(&encode(&snapshot)).unwrap();
        prop_assert_eq!(shown(&read), shown(&snapshot));
    }

    #[test]
    fn rule50_cut_anywhere_it_is_refused(snapshot in snapshot()) {
        let bytes = encode(&snapshot);
        for end in 0..bytes.len() {
            prop_assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn rule50_with_any_bit_flipped_it_is_refused(snapshot in snapshot(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = encode(&snapshot).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decode(&bytes).is_err(), "bit {bit} of byte {at}");
    }

    #[test]
    fn rule50_noise_is_refused(noise in vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&noise).is_err());
        let mut after_magic = MAGIC.to_vec();
        after_magic.extend(&noise);
        prop_assert!(decode(&after_magic).is_err());
    }

    #[test]
    fn rule44_another_time_namespace_shifts_only_the_boot_clock(snapshot in snapshot(), offset in -1_000_000_000_i64..1_000_000_000) {
        let there = Snapshot::new(1, &snapshot.carried, 0);
        let here = there.to_carried(i128::from(offset));
        for (one, other) in there.carried.values().zip(here.values()) {
            for (one, other) in one.leases.iter().zip(&other.leases) {
                let moved = |at: Duration| i128::try_from(at.as_nanos()).unwrap() + i128::from(offset);
                prop_assert_eq!(other.received.boot.as_nanos() as i128, moved(one.received.boot).clamp(0, u64::MAX.into()));
                prop_assert_eq!(other.received.wall, one.received.wall);
            }
        }
    }
}

#[test]
fn rule50_another_version_is_refused_by_its_number() {
    let mut bytes = encode(&Snapshot::default()).to_vec();
    bytes[MAGIC.len()] = 9;
    assert_eq!(decode(&bytes).unwrap_err(), FormatError::Version(9));
}

#[test]
fn rule50_bytes_behind_the_digest_are_refused() {
    let mut bytes = encode(&Snapshot::default()).to_vec();
    bytes.push(0);
    assert_eq!(decode(&bytes).unwrap_err(), FormatError::Malformed);
}
