//! The recipient of each token, compared with the records of the git host.
//! GitHub's own audit log has the same hash.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use molecule_protocol::encoding::base64_digest;
use molecule_tests::programs::gits;
use molecule_tests::world::{Wiring, World, WorldSetup, run};

const LIFE: Duration = Duration::from_secs(3);

#[test]
fn the_audit_log_has_the_hash_of_exactly_the_shown_tokens() {
    let world = World::started(WorldSetup { life: LIFE, ..WorldSetup::default() });
    world.host.create_repository("acme/app.git");
    let end = Instant::now() + Duration::from_secs(8);
    let mut operations = 0;
    while Instant::now() < end {
        for wiring in [Wiring::Helper, Wiring::Askpass] {
            let mut git = world.git(&gits()[0], wiring);
            let ran = run(git.args(["ls-remote", &world.host.url("acme/app.git")]), Duration::from_secs(20));
            // A run that outlived its token still got one.
            assert!(ran.success() || ran.outlived(LIFE), "{ran:?}");
            operations += 1;
        }
    }

    let hash = |digest: &[u8; 32]| String::from_utf8(base64_digest(digest).to_vec()).unwrap();
    let seen: BTreeSet<_> = world.host.shown().iter().map(|shown| hash(&shown.password_sha256)).collect();
    let audit = world.broker.audit();
    let field = |line: &'_ str, key: &str| {
        line.split(' ').find_map(|word| word.strip_prefix(key).map(str::to_owned)).unwrap_or_else(|| panic!("{line}"))
    };
    let logged: BTreeSet<_> = audit.lines().map(|line| field(line, "token_sha256=")).collect();
    assert_eq!(logged, seen, "{audit}");
    assert!(seen.len() >= 3, "only {} tokens", seen.len());
    assert!(audit.lines().count() >= operations, "a line for each of {operations} operations:\n{audit}");
    for minted in world.ledger.all() {
        assert!(!audit.contains(&minted.token), "a token is in the audit log");
    }
    for line in audit.lines() {
        assert_eq!(field(line, "origin="), format!("https://{}", world.host.origin()), "{line}");
        assert_eq!(field(line, "credential="), "github", "{line}");
    }
}
