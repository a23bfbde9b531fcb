//! The closing words, and whether all went well.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::city::Holds;
use crate::judge::{Calendar, Verdict, dead_shown};
use crate::options::Options;
use crate::traffic::Operation;
use crate::trouble::Counts;
use molecule_tests::world::World;

/// Pages that a process keeps once it has used them.
const SLACK_KIB: u64 = 2048;
const SLACK_DESCRIPTORS: usize = 4;

pub(crate) struct Facts<'a> {
    pub(crate) options: &'a Options,
    pub(crate) world: &'a World,
    pub(crate) calendar: &'a Calendar,
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
            match self.calendar.judge(one, self.world) {
                Verdict::NothingToGive => *excused.entry("no token was to be had, and it said so").or_default() += 1,
                Verdict::DiedInHand => *excused.entry("the token died in git's hands").or_default() += 1,
                Verdict::Fault(why) => self.problems.push(format!("{} failed after {:.1?}: {why}", one.name, one.took)),
            }
        }
        println!();
        for (name, mut times) in groups {
            times.sort();
            let at = |share: usize| times[(times.len() - 1) * share / 100];
            println!("{name:<6} {:>5} times, median {:.0?}, 99 of 100 within {:.0?}", times.len(), at(50), at(99));
        }
        println!("{} operations, {failed} failed, of which could not be helped:", self.operations.len());
        excused.iter().for_each(|(why, count)| println!("  {count}  {why}"));
        let (dead, too_late) = dead_shown(self.world);
        println!("dead tokens shown: {dead}, of which {} are a fault", too_late.len());
        self.problems.extend(too_late);

        let Counts { kills, stops, faults, bearers, erases, reloads } = self.counts;
        println!(
            "{kills} kills, {stops} stops, {faults} faults of the platform ({:.0?} in all), {bearers} bearers, \
             {erases} rejections, {reloads} reloads",
            self.calendar.length()
        );
        println!("platform asked {} times for {} tokens", self.world.platform.asked_count(), self.world.ledger.count());
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
