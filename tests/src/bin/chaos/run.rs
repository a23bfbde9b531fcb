//! The run itself: the city starts, agents and strangers work, trouble is
//! caused until the time is over, everything is mended, and the outcome is
//! checked.

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use molecule_tests::certs::agent_name;
use molecule_tests::ledger::TokenState;
use molecule_tests::programs::{gh, gits, has_git_lfs, programs};
use molecule_tests::skip;
use molecule_tests::traffic::{Agent, Traffic};
use molecule_tests::wait::poll;

use crate::calendar::Calendar;
use crate::city::{ATTEMPT, City, LOOPBACK};
use crate::dice::Dice;
use crate::evidence::gather;
use crate::judge::TimeLimits;
use crate::options::Options;
use crate::report::{Facts, Held};
use crate::strangers;
use crate::traffic::{self, Skill};
use crate::trouble::Trouble;

const STRANGERS: u64 = 4;
const WARM_UP: Duration = Duration::from_secs(4);
/// Time of the first measurement, if a run or a calm is long enough.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST_CALM: Duration = Duration::from_secs(600);

pub(crate) fn run(options: &Options) -> ExitCode {
    println!("seed {}", options.seed);
    programs();
    let gits = gits();
    let (lfs, gh) = (has_git_lfs(), gh().is_some());
    [(lfs, "git-lfs"), (gh, "gh")].into_iter().filter(|(there, _)| !there).for_each(|(_, name)| {
        skip(&format!("{name} amid chaos: it isn't installed"));
    });
    let mut city = City::new(options);
    let (traffic, calendar) = (Traffic::default(), Calendar::default());
    let mut problems = Vec::new();

    let (made, held) = thread::scope(|scope| {
        let city = &city;
        for (number, git) in gits.iter().cycle().take(options.clients).enumerate() {
            let dice = Dice::new(options.seed, 100 + number as u64);
            let traffic = &traffic;
            scope.spawn(move || {
                let (name, skill) = match number {
                    1 => (String::from(LOOPBACK[0]), if lfs { Skill::Lfs } else { Skill::Git }),
                    2 => (String::from(LOOPBACK[1]), if gh { Skill::Gh } else { Skill::Git }),
                    _ => (agent_name(number), Skill::Git),
                };
                let agent = Agent::new(&city.world, traffic, git, number, &name);
                traffic::work(agent, dice, skill, || traffic.stopped());
            });
        }
        for number in 0..STRANGERS {
            let (socket, dice, traffic) = (city.world.socket(), Dice::new(options.seed, 200 + number), &traffic);
            scope.spawn(move || strangers::bother(&socket, traffic, dice));
        }
        // Waits until every client has connected at least once.
        thread::sleep(WARM_UP);
        let mut trouble = Trouble::new(city, &gits[0], &calendar, Dice::new(options.seed, 0), options.life);
        let mut held = Held::default();
        let calm_at = options.length - (options.length / 3).min(LONGEST_CALM);
        let first_at = FIRST.min(options.length / 3);
        let first_in_calm = calm_at + FIRST.min((options.length - calm_at) / 4);
        let began = Instant::now();
        while began.elapsed() < options.length {
            let (at, calm) = (began.elapsed(), began.elapsed() >= calm_at);
            if let Some(what) = trouble.step(calm) {
                println!("{:>6.1} s  {}{what}", at.as_secs_f64(), if calm { "calm: " } else { "" });
            }
            if held.supervisor.0.is_none() && began.elapsed() >= first_at {
                held.supervisor.0 = city.supervisor_holds();
            }
            if held.daemon.0.is_none() && began.elapsed() >= first_in_calm {
                // With nothing broken, as in the last measurement.
                trouble.mend();
                held.daemon.0 = city.daemon_holds();
            }
        }
        trouble.mend();
        // Measures while all clients are working, as the first time. The last
        // of them may still be waiting for a token.
        thread::sleep(Duration::from_secs(2));
        (held.supervisor.1, held.daemon.1) = (city.supervisor_holds(), city.daemon_holds());
        traffic.stop();
        (trouble.made(), held)
    });

    if poll(Duration::from_secs(20), || city.serves().then_some(())).is_none() {
        problems.push(String::from("the broker doesn't serve again"));
    }
    if poll(Duration::from_secs(20), || (city.token_file_state() == Some(TokenState::Live)).then_some(())).is_none() {
        problems.push(format!("the token file contains no live token: {:?}", city.token_file_state()));
    }
    if !city.supervisor_lives() {
        problems.push(String::from("the supervisor has ended"));
    }
    let evidence = gather(&city.world, &city.log(), &made.unwritten, &calendar, TimeLimits::of(options.life, ATTEMPT));
    let (operations, asked) = (traffic.operations(), city.world.platform.request_count());
    let facts = Facts { options, evidence, asked, operations, deck: made.deck, held, problems };
    if facts.tell() {
        return ExitCode::SUCCESS;
    }
    keep(&city, options.seed);
    ExitCode::FAILURE
}

/// Keeps the broker's log and its audit log.
fn keep(city: &City, seed: u64) {
    for (what, text) in [("log", city.log()), ("audit", city.world.broker.audit())] {
        let path = std::env::temp_dir().join(format!("molecule-chaos-{seed}.{what}"));
        match fs::write(&path, text) {
            Ok(()) => println!("The broker's {what} is kept in {}", path.display()),
            Err(error) => println!("The broker's {what} is lost: {}: {error}", path.display()),
        }
    }
}
