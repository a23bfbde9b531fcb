//! The closing words, and whether all went well.

use std::collections::BTreeMap;
use std::time::Duration;

use molecule_tests::traffic::Operation;

use crate::calendar::in_all;
use crate::holds::{self, Holds};
use crate::judge::{Evidence, Verdict};
use crate::options::Options;
use crate::trouble::Deck;

/// What a process may come to hold beside what it held once it was warm: pages
/// that the allocator keeps from a busier moment. A daemon answers some twenty
/// callers a second, so that ten minutes show 20 bytes lost on each. The
/// supervisor is busy only when it replaces a daemon, every few seconds.
const DAEMON_SLACK_KIB: u64 = 256;
const SUPERVISOR_SLACK_KIB: u64 = 64;

pub(crate) struct Facts<'a> {
    pub(crate) options: &'a Options,
    pub(crate) evidence: Evidence,
    /// How often the platform was asked.
    pub(crate) asked: usize,
    pub(crate) operations: Vec<Operation>,
    pub(crate) deck: Deck,
    pub(crate) held: Held,
    /// What went wrong beside the operations.
    pub(crate) problems: Vec<String>,
}

/// At first and at last: the supervisor in the whole run, the daemon in its calm.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) supervisor: (Option<Holds>, Option<Holds>),
    pub(crate) daemon: (Option<Holds>, Option<Holds>),
}

impl Facts<'_> {
    /// Prints all of it; whether all is well.
    pub(crate) fn tell(mut self) -> bool {
        let mut groups: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        let mut excused: BTreeMap<&str, usize> = BTreeMap::new();
        let mut failed = 0;
        for one in &self.operations {
            groups.entry(one.name).or_default().push(one.took);
            if one.failure.is_none() {
                continue;
            }
            failed += 1;
            let excuse = match self.evidence.judge(one) {
                Verdict::Well => continue,
                Verdict::NothingToGive => "no token was to be had, the platform down, and it said so",
                Verdict::OutOfReach => "no token was to be had, the platform cut off by us, and it said so",
                Verdict::DiedInHand => "the token died in git's hands, the platform down or cut off",
                Verdict::HeldUp => "the token died in git's hands, the daemon held up by us",
                Verdict::Fault(why) => {
                    let began = jiff::Timestamp::try_from(one.began).unwrap_or_default();
                    self.problems.push(format!("{began} {} failed after {:.1?}: {why}", one.name, one.took));
                    continue;
                }
            };
            *excused.entry(excuse).or_default() += 1;
        }
        println!();
        for (name, mut times) in groups {
            times.sort();
            let at = |share: usize| times[(times.len() - 1) * share / 100];
            println!("{name:<6} {:>5} times, median {:.0?}, 99 of 100 within {:.0?}", times.len(), at(50), at(99));
        }
        println!("{} operations, {failed} failed, of which could not be helped:", self.operations.len());
        excused.iter().for_each(|(why, count)| println!("  {count}  {why}"));
        let handed_dead = self.evidence.handed_dead();
        let shown_dead = self.evidence.shown_dead(&self.operations);
        let in_hand = shown_dead.iter().filter(|fault| fault.is_none()).count();
        println!(
            "credentials handed out: {}, dead by then: {}; shown to the host: {}, dead though handed out alive: {in_hand}, \
             dead otherwise: {}",
            self.evidence.handed.len(),
            handed_dead.len(),
            self.evidence.shown.len(),
            shown_dead.len() - in_hand,
        );
        self.problems.extend(handed_dead.iter().map(|line| format!("a dead token was handed out: {line:?}")));
        self.problems.extend(shown_dead.into_iter().flatten());

        let counts: Vec<_> = self.deck.counts().iter().map(|(name, count)| format!("{count} {name}")).collect();
        println!("{}", counts.join(", "));
        self.problems.extend(self.deck.absent().iter().map(|name| format!("none of the {name} came to anything")));
        println!(
            "platform asked {} times for {} tokens, down for {:.0?}, and cut off for {:.0?}",
            self.asked,
            self.evidence.tokens.len(),
            in_all(&self.evidence.troubles),
            in_all(&self.evidence.cut_offs)
        );
        let Held { supervisor, daemon } = self.held;
        let both = [("supervisor", supervisor, SUPERVISOR_SLACK_KIB), ("daemon", daemon, DAEMON_SLACK_KIB)];
        for (name, (first, last), slack_kib) in both {
            println!("{name}: {} and then {}", told(first), told(last));
            self.problems.extend(holds::problems(name, first, last, slack_kib));
        }
        if self.operations.len() < self.options.length.as_secs() as usize / 2 {
            self.problems.push(String::from("hardly anything happened"));
        }
        self.problems.iter().for_each(|problem| println!("PROBLEM: {problem}"));
        let word = if self.problems.is_empty() { "All well." } else { "Not well." };
        println!(
            "{word} To repeat its choices: --seed {} --seconds {}",
            self.options.seed,
            self.options.length.as_secs()
        );
        self.problems.is_empty()
    }
}

fn told(holds: Option<Holds>) -> String {
    holds.map_or_else(
        || String::from("nothing"),
        |Holds { pid, memory_kib, descriptors }| {
            let descriptors = descriptors.map_or_else(|| String::from("unseen"), |number| number.to_string());
            format!("{memory_kib} KiB with {descriptors} descriptors (pid {pid})")
        },
    )
}
