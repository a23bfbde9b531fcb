//! The figures: as a table, as a line, and as the summary that decides the
//! demo's exit status.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use molecule_tests::git_host::CredentialState;
use molecule_tests::ledger::is_old_form;
use molecule_tests::traffic::{Operation, Traffic};
use molecule_tests::world::World;
use serde_json::Value;

use crate::options::Options;
use crate::trouble::{Stage, Trouble};

pub(crate) struct Facts {
    elapsed: Duration,
    rotations: usize,
    operations: usize,
    by_gh: usize,
    failures: usize,
    asked: usize,
    tokens_given: usize,
    old_tokens: usize,
    /// Lengths of the tokens of the new form, in ascending order.
    new_tokens: Vec<usize>,
    large_pushes: usize,
    shown_live: usize,
    shown_dead: usize,
    platform: &'static str,
    broker: Value,
    outages: usize,
    rejection: Option<Result<Duration, String>>,
}

impl Facts {
    pub(crate) fn gather(world: &World, traffic: &Traffic, trouble: &Trouble, elapsed: Duration) -> Self {
        let asked = world.platform.requests();
        let operations = traffic.operations();
        let mut tokens: Vec<_> = asked.iter().filter_map(|one| one.token.as_ref()).collect();
        let tokens_given = tokens.len();
        tokens.dedup();
        let (old, new): (Vec<&String>, Vec<&String>) = tokens.iter().partition(|token| is_old_form(token));
        let mut new_tokens: Vec<_> = new.iter().map(|token| token.len()).collect();
        new_tokens.sort_unstable();
        let is_large = |one: &&Operation| one.name == "large" && one.failure.is_none();
        let status = world.broker.try_status().unwrap_or_default();
        Self {
            elapsed,
            rotations: tokens.len().saturating_sub(1),
            operations: operations.len(),
            by_gh: operations.iter().filter(|one| one.program == "gh").count(),
            failures: operations.iter().filter(|one| one.failure.is_some()).count(),
            asked: asked.len(),
            tokens_given,
            old_tokens: old.len(),
            new_tokens,
            large_pushes: operations.iter().filter(is_large).count(),
            shown_live: world.host.shown_count(CredentialState::Live),
            shown_dead: world.host.dead_shown(),
            platform: if matches!(trouble.stage, Stage::Outage { .. }) { "down" } else { "up" },
            broker: status["credentials"][0].clone(),
            outages: trouble.outages,
            rejection: trouble.rejection.clone(),
        }
    }

    pub(crate) fn table(&self) -> String {
        let rows = [
            ("time", format!("{:.0} s", self.elapsed.as_secs_f64())),
            ("operations", self.operations.to_string()),
            ("  by gh", self.by_gh.to_string()),
            ("  failed", self.failures.to_string()),
            ("  over 1 MiB", format!("{} pushes", self.large_pushes)),
            ("token rotations", self.rotations.to_string()),
            ("  forms", self.forms()),
            ("shown to host", format!("{} live tokens", self.shown_live)),
            ("  dead tokens", self.shown_dead.to_string()),
            ("platform", String::from(self.platform)),
            ("  requests", self.asked.to_string()),
            ("broker status", self.broker_says()),
        ];
        let mut table = String::new();
        for (name, value) in rows {
            let _ = writeln!(table, "  {name:<16} {value}");
        }
        table
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "{:>5.1} s  {} operations ({} by gh, {} pushes over 1 MiB), {} failed; {} rotations ({}); \
             host shown {} live, {} dead; platform {}, {} requests; broker {}",
            self.elapsed.as_secs_f64(),
            self.operations,
            self.by_gh,
            self.large_pushes,
            self.failures,
            self.rotations,
            self.forms(),
            self.shown_live,
            self.shown_dead,
            self.platform,
            self.asked,
            self.broker_says(),
        )
    }

    /// Returns the tokens that the platform returned, by form and length.
    fn forms(&self) -> String {
        let old = format!("{} tokens of 40 bytes", self.old_tokens);
        match (self.new_tokens.first(), self.new_tokens.last()) {
            (Some(shortest), Some(longest)) => {
                format!("{old}, {} of {shortest} to {longest}", self.new_tokens.len())
            }
            _ => old,
        }
    }

    fn broker_says(&self) -> String {
        let seconds = |key: &str| match self.broker[key].as_f64() {
            Some(seconds) => format!("{seconds:.0} s"),
            None => String::from("?"),
        };
        format!(
            "{}, generation {}, expires in {}, next refresh in {}",
            self.broker["state"].as_str().unwrap_or("?"),
            self.broker["generation"],
            seconds("expires_in_s"),
            seconds("next_refresh_in_s"),
        )
    }
}

/// Returns the closing summary, and whether all went well.
pub(crate) fn summary(facts: &Facts, operations: &[Operation], options: &Options) -> (String, bool) {
    let mut text = String::new();
    let mut groups: BTreeMap<(&str, &str), Vec<Duration>> = BTreeMap::new();
    for one in operations {
        groups.entry((&one.program, one.name)).or_default().push(one.took);
    }
    for ((program, name), mut times) in groups {
        times.sort();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        let (half, most) = (at(50), at(99));
        let _ = writeln!(
            text,
            "{program:<10} {name:<5} {:>5} times, median {half:.0?}, 99 of 100 within {most:.0?}",
            times.len()
        );
    }
    let mut problems = problems(facts, options);
    for one in operations.iter().filter(|one| one.failure.is_some()).take(5) {
        let failure = one.failure.as_deref().unwrap_or_default();
        problems.push(format!("{} {}: {failure}", one.program, one.name));
    }
    if let Some(Ok(took)) = &facts.rejection {
        let _ = writeln!(text, "the rejected token was replaced after {took:.0?}");
    }
    let _ = writeln!(text, "{} pushes over 1 MiB; {}", facts.large_pushes, facts.forms());
    let _ = writeln!(
        text,
        "{} operations ({} by gh), {} failed; {} rotations, {} outage(s); host shown {} live and {} dead \
         tokens; {} requests to the platform ({:.2} per rotation)",
        facts.operations,
        facts.by_gh,
        facts.failures,
        facts.rotations,
        facts.outages,
        facts.shown_live,
        facts.shown_dead,
        facts.asked,
        facts.asked as f64 / facts.rotations.max(1) as f64,
    );
    for problem in &problems {
        let _ = writeln!(text, "PROBLEM: {problem}");
    }
    text.push_str(if problems.is_empty() { "All well." } else { "Not well." });
    (text, problems.is_empty())
}

/// A run in which nothing happened proves nothing, so that is a problem too.
fn problems(facts: &Facts, options: &Options) -> Vec<String> {
    let mut problems = Vec::new();
    if facts.failures > 0 {
        problems.push(format!("{} operations failed", facts.failures));
    }
    if facts.shown_dead > 0 {
        problems.push(format!("the host was shown {} dead tokens", facts.shown_dead));
    }
    let fewest = (options.length.as_secs() / options.life.as_secs()) as usize / 2;
    if facts.rotations < fewest {
        problems.push(format!("only {} rotations in {:?}", facts.rotations, options.length));
    }
    if facts.operations == 0 || facts.tokens_given == 0 {
        problems.push(String::from("nothing happened"));
    }
    let minutes = options.length.as_secs() / 60;
    if !options.gh && (facts.large_pushes as u64) < minutes {
        problems.push(format!("only {} pushes over 1 MiB in {:?}", facts.large_pushes, options.length));
    }
    if facts.rotations > 0 && (facts.old_tokens == 0 || facts.new_tokens.is_empty()) {
        problems.push(format!("the platform returned only one form: {}", facts.forms()));
    }
    if !options.calm {
        if facts.outages == 0 {
            problems.push(String::from("no refresh happened, so no outage could follow it"));
        }
        match &facts.rejection {
            Some(Ok(_)) => {}
            Some(Err(problem)) => problems.push(problem.clone()),
            None => problems.push(String::from("no token was rejected")),
        }
    }
    problems
}
