//! The closing words, and whether all went well.

use std::collections::BTreeMap;
use std::time::Duration;

use molecule_tests::traffic::Operation;

use crate::calendar::Span;
use crate::city::Holds;
use crate::judge::{Evidence, Verdict};
use crate::options::Options;
use crate::trouble::Counts;

/// Pages that a process keeps once it has used them.
const SLACK_KIB: u64 = 2048;
const SLACK_DESCRIPTORS: usize = 4;

pub(crate) struct Facts<'a> {
    pub(crate) options: &'a Options,
    pub(crate) evidence: Evidence,
    /// How often the platform was asked.
    pub(crate) asked: usize,
    pub(crate) operations: Vec<Operation>,
    pub(crate) counts: Counts,
    pub(crate) at_first: Holds,
    pub(crate) at_last: Holds,
    /// What went wrong beside the operations.
    pub(crate) problems: Vec<String>,
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
                Verdict::NothingToGive => "no token was to be had, and it said so",
                Verdict::DiedInHand => "the token died in git's hands, the platform down",
                Verdict::TookTooLong => "it took longer than the life that any token has left",
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

        let Counts { kills, stops, faults, bearers, erases, reloads } = self.counts;
        println!(
            "{kills} kills, {stops} stops, {faults} faults of the platform ({:.0?} in all), {bearers} bearers, \
             {erases} rejections, {reloads} reloads",
            self.evidence.troubles.iter().map(Span::length).sum::<Duration>()
        );
        println!("platform asked {} times for {} tokens", self.asked, self.evidence.tokens.len());
        let (first, last) = (self.at_first, self.at_last);
        println!(
            "memory {} KiB at first, {} KiB at last; descriptors {} and {}",
            first.memory_kib, last.memory_kib, first.descriptors, last.descriptors
        );
        if last.memory_kib > first.memory_kib + first.memory_kib / 4 + SLACK_KIB {
            self.problems.push(String::from("memory has grown"));
        }
        if last.descriptors > first.descriptors + SLACK_DESCRIPTORS {
            self.problems.push(String::from("descriptors leak"));
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
