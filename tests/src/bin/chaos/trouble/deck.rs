//! The choice of the next kind of trouble: a deck of cards that is shuffled
//! again whenever it is used up, so that no kind is missing in a long enough
//! run.

use std::collections::BTreeMap;

use super::calls::{CALLS, Call, Hits};
use crate::dice::Dice;

/// After this many decks every possible kind has taken effect. A single card
/// may have none: the platform is down already, for example, or no daemon is
/// running at that moment.
const ENOUGH: usize = 6;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Card {
    Kill,
    Stop,
    Reload,
    Reject,
    Limit,
    Memory,
    Call(&'static Call),
    Platform,
    Bearer,
    Disk,
    Clock,
}

/// The kinds besides the calls, and how often each is in the deck.
const KINDS: [(Card, usize); 10] = [
    (Card::Kill, 4),
    (Card::Stop, 1),
    (Card::Reload, 1),
    (Card::Reject, 1),
    (Card::Limit, 1),
    (Card::Memory, 1),
    (Card::Platform, 3),
    (Card::Bearer, 1),
    (Card::Disk, 2),
    (Card::Clock, 1),
];

impl Card {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Kill => "kills",
            Self::Stop => "stops",
            Self::Reload => "reloads",
            Self::Reject => "rejections",
            Self::Limit => "descriptor limits",
            Self::Memory => "ends by lack of memory",
            Self::Call(call) => call.name,
            Self::Platform => "faults of the platform",
            Self::Bearer => "bearer rotations",
            Self::Disk => "full or read-only disks",
            Self::Clock => "jumps of the boot clock",
        }
    }

    /// True if it may end the daemon.
    fn is_deadly(&self) -> bool {
        matches!(self, Self::Kill | Self::Memory | Self::Call(Call { hits: Hits::Daemon, .. }))
    }
}

/// Abilities that this machine lacks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Missing {
    pub(crate) calls: bool,
    pub(crate) limits: bool,
    pub(crate) disk: bool,
    pub(crate) clock: bool,
}

impl Missing {
    fn has(&self, card: &Card) -> bool {
        match card {
            Card::Call(_) => self.calls,
            Card::Limit | Card::Memory => self.limits,
            Card::Disk => self.disk,
            Card::Clock => self.clock,
            _ => false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Deck {
    all: Vec<Card>,
    left: Vec<Card>,
    /// Number of decks that were used up while all cards were played.
    used_up: usize,
    counts: BTreeMap<&'static str, usize>,
}

impl Deck {
    pub(crate) fn new(missing: Missing) -> Self {
        let kinds = KINDS.iter().flat_map(|(card, count)| std::iter::repeat_n(*card, *count));
        let all: Vec<_> = kinds.chain(CALLS.iter().map(Card::Call)).filter(|card| !missing.has(card)).collect();
        let counts = all.iter().map(|card| (card.name(), 0)).collect();
        Self { left: all.clone(), all, used_up: 0, counts }
    }

    /// Draws the next card; in a `calm`, one that the daemon survives.
    pub(crate) fn draw(&mut self, dice: &mut Dice, calm: bool) -> Card {
        loop {
            if self.left.is_empty() {
                self.left.clone_from(&self.all);
                self.used_up += usize::from(!calm);
            }
            let card = self.left.swap_remove(dice.below(self.left.len()));
            if !(calm && card.is_deadly()) {
                return card;
            }
        }
    }

    pub(crate) fn count(&mut self, card: &Card) {
        *self.counts.entry(card.name()).or_default() += 1;
    }

    /// Returns how often each kind took effect.
    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, usize> {
        &self.counts
    }

    /// Returns the kinds that should have taken effect by now and haven't.
    pub(crate) fn absent(&self) -> Vec<&'static str> {
        let never = self.counts.iter().filter(|(_, count)| self.used_up >= ENOUGH && **count == 0);
        never.map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_in_a_deck_and_one_without_effect_is_named() {
        let (mut deck, mut dice) = (Deck::new(Missing::default()), Dice::new(1, 0));
        for _ in 0..deck.all.len() * ENOUGH {
            let card = deck.draw(&mut dice, false);
            if !matches!(card, Card::Clock) {
                deck.count(&card);
            }
            assert!(deck.absent().is_empty(), "it may still take effect");
        }
        deck.draw(&mut dice, false);
        assert_eq!(deck.absent(), ["jumps of the boot clock"]);
        assert_eq!(deck.counts()["kills"], 4 * ENOUGH);
    }

    #[test]
    fn a_calm_draws_nothing_deadly_and_nothing_impossible_here() {
        let (mut deck, mut dice) = (Deck::new(Missing { disk: true, ..Missing::default() }), Dice::new(1, 0));
        let drawn: Vec<_> = (0..500).map(|_| deck.draw(&mut dice, true)).collect();
        assert!(!drawn.iter().any(|card| card.is_deadly() || matches!(card, Card::Disk)));
        assert!(deck.absent().is_empty() && !deck.counts().contains_key("full or read-only disks"));
    }
}
