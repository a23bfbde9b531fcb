//! Prints the closing report and decides whether all went well.

use std::collections::BTreeMap;
use std::time::Duration;

use molecule_tests::traffic::Operation;

use crate::calendar::in_all;
use crate::holds::{self, Holds};
use crate::judge::{Evidence, Verdict};
use crate::options::Options;
use crate::trouble::Deck;

/// Memory that a process may hold in addition to that of the first measurement:
/// pages that the allocator keeps from a busier moment. A daemon answers some
/// twenty clients a second, so a leak of 20 bytes for each shows within ten
/// minutes. The supervisor works only when it replaces a daemon, every few
/// seconds.
const DAEMON_SLACK_KIB: u64 = 256;
const SUPERVISOR_SLACK_KIB: u64 = 64;

pub(crate) struct Facts<'a> {
    pub(crate) options: &'a Options,
    pub(crate) evidence: Evidence,
    /// Number of requests to the platform.
    pub(crate) asked: usize,
    pub(crate) operations: Vec<Operation>,
    pub(crate) deck: Deck,
    pub(crate) held: Held,
    /// Problems besides failed operations.
    pub(crate) problems: Vec<String>,
}

/// First and last measurement: the supervisor's in the whole run, the daemon's
/// in the calm.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) supervisor: (Option<Holds>, Option<Holds>),
    pub(crate) daemon: (Option<Holds>, Option<Holds>),
}

impl Facts<'_> {
    /// Prints the report. Returns true if all went well.
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
                Verdict::NothingToGive => "there was no token, the platform was down, and the message said so",
                Verdict::OutOfReach => "there was no token, we had cut off the platform, and the message said so",
                Verdict::DiedInHand => "the token expired while git used it, the platform was down or cut off",
                Verdict::HeldUp => "the token expired while git used it, we had held up the daemon",
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
        println!("{} operations, {failed} failed, of which these couldn't be prevented:", self.operations.len());
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
        self.problems.extend(self.deck.absent().iter().map(|name| format!("none of the {name} took effect")));
        println!(
            "{} requests to the platform for {} tokens; it was down for {:.0?} and cut off for {:.0?}",
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
            self.problems.push(String::from("there were too few operations"));
        }
        self.problems.iter().for_each(|problem| println!("PROBLEM: {problem}"));
        let word = if self.problems.is_empty() { "All well." } else { "Not well." };
        println!(
            "{word} To repeat these choices: --seed {} --seconds {}",
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
