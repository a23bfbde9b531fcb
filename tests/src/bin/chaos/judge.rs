//! Whether a failure could be helped.
//!
//! It couldn't if three things hold. No token that the platform ever delivered
//! lived through the whole operation and a moment before it. The platform was
//! in trouble at its end or shortly before. And who was refused was told by
//! whom. A token that dies in git's own hands, between being given and being
//! shown, is told by git itself, as a failed authentication.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use molecule_tests::git_host::Shown;
use molecule_tests::world::World;

use crate::traffic::Operation;

/// How long a broker may take, after the platform is well again, to ask it: the
/// longest back-off of this configuration, one attempt, and a busy machine.
const RECOVERY: Duration = Duration::from_secs(5);
/// How long a token may be on its way from the platform to the broker.
const DELIVERY: Duration = Duration::from_millis(1200);
/// How long a git may hold a token before it shows it.
const IN_HAND: Duration = Duration::from_secs(3);

/// When the platform was in trouble, and when a daemon was interrupted.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    troubles: Mutex<Vec<(Instant, Option<Instant>)>>,
    interruptions: Mutex<Vec<Instant>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The token had truly died, and the refusal said so.
    NothingToGive,
    DiedInHand,
    Fault(String),
}

impl Calendar {
    pub(crate) fn begin(&self) {
        self.lock().push((Instant::now(), None));
    }

    pub(crate) fn end(&self) {
        if let Some((_, end)) = self.lock().last_mut() {
            end.get_or_insert_with(Instant::now);
        }
    }

    /// A daemon is killed, stopped or reloaded: what it was just being given
    /// may be lost.
    pub(crate) fn interrupt(&self) {
        self.interruptions.lock().expect("no holder panics").push(Instant::now());
    }

    pub(crate) fn length(&self) -> Duration {
        self.lock().iter().map(|(from, to)| to.unwrap_or_else(Instant::now).duration_since(*from)).sum()
    }

    /// Whoever still waits when the platform has long been well is failed by us.
    fn was_trouble(&self, at: Instant) -> bool {
        self.lock().iter().any(|(begin, end)| *begin <= at && end.is_none_or(|end| end + RECOVERY >= at))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, Option<Instant>)>> {
        self.troubles.lock().expect("no holder panics")
    }

    pub(crate) fn judge(&self, operation: &Operation, world: &World) -> Verdict {
        let said = operation.failure.clone().unwrap_or_default();
        let ended = operation.began + operation.took;
        if let Some(living) = self.living_token(operation.began, ended, world) {
            return Verdict::Fault(format!("a token lived ({living}): {said}"));
        }
        if !self.was_trouble(ended) {
            return Verdict::Fault(format!("the platform was well: {said}"));
        }
        let has_died = said.contains("Authentication failed") || said.contains("rejected by its host");
        match said.contains("molecule-broker: ") {
            true => Verdict::NothingToGive,
            false if has_died => Verdict::DiedInHand,
            false => Verdict::Fault(format!("nobody said why: {said}")),
        }
    }

    /// A token that the platform delivered in good time and that lived through
    /// all of it.
    fn living_token(&self, from: Instant, to: Instant, world: &World) -> Option<String> {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let on_the_wall = |at: Instant| wall - now.duration_since(at);
        let asked = world.platform.asked();
        let good = asked.iter().filter(|one| {
            let delivered = one.at + DELIVERY;
            delivered <= from && !self.in_trouble(one.at, delivered) && !self.was_interrupted(one.at, delivered)
        });
        let living = good.filter_map(|one| world.ledger.find(one.token.as_ref()?));
        let mut living = living.filter(|token| token.expires > on_the_wall(to));
        living.next().map(|token| {
            let left = token.expires.duration_since(on_the_wall(to)).unwrap_or_default();
            format!("{left:.1?} left")
        })
    }

    fn was_interrupted(&self, from: Instant, to: Instant) -> bool {
        let interruptions = self.interruptions.lock().expect("no holder panics");
        interruptions.iter().any(|at| (from..=to).contains(at))
    }

    fn in_trouble(&self, from: Instant, to: Instant) -> bool {
        self.lock().iter().any(|(begin, end)| *begin <= to && end.is_none_or(|end| end >= from))
    }
}

/// Of what the host was shown and was no good: what git had held for too long
/// to blame on its travel, or was never minted at all.
pub(crate) fn dead_shown(world: &World) -> (usize, Vec<String>) {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let minted: Vec<_> = world
        .ledger
        .all()
        .into_iter()
        .map(|token| (molecule_protocol::digest::sha256(token.token.as_bytes()), token.expires))
        .collect();
    let shown = world.host.shown();
    let dead: Vec<&Shown> = shown.iter().filter(|shown| !shown.worth.is_welcome()).collect();
    let too_late = dead.iter().filter_map(|shown| {
        let at = wall - now.duration_since(shown.at);
        let expires = minted.iter().find(|(sha256, _)| *sha256 == shown.password_sha256).map(|(_, expires)| *expires);
        match expires.map(|expires| at.duration_since(expires).unwrap_or_default()) {
            Some(late) if late < IN_HAND => None,
            Some(late) => Some(format!("a token that was dead for {late:.1?} was shown")),
            None => Some(String::from("something that was never minted was shown")),
        }
    });
    (dead.len(), too_late.collect())
}
