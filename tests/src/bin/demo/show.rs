//! The minute itself: starts the city, lets the agents work, causes trouble,
//! and shows everything in a table. On a terminal, the table is redrawn in
//! place; elsewhere, a line is printed every five seconds.

use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use molecule_tests::platform::MintPolicy;
use molecule_tests::programs::{Git, build_like_this_program, first_git, gits};
use molecule_tests::serve::runtime;
use molecule_tests::traffic::{Agent, Traffic};
use molecule_tests::world::{Wiring, World, WorldSetup};

use crate::gh::GhAgents;
use crate::options::Options;
use crate::report::{Facts, summary};
use crate::traffic;
use crate::trouble::Trouble;

const TICK: Duration = Duration::from_millis(20);
const REDRAW: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(crate) fn run(options: &Options) -> ExitCode {
    match prepare(options) {
        Ok((world, gh)) => show(options, &world, gh.as_ref()),
        Err(problem) => {
            eprintln!("demo: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(options: &Options) -> Result<(World, Option<GhAgents>), String> {
    first_git()?;
    println!("Building the broker and the shims …");
    build_like_this_program()?;
    let policy =
        if options.cached { MintPolicy::cached_like_the_real_one(options.life) } else { MintPolicy::MintPerCall };
    let mut world = World::try_new(WorldSetup { life: options.life, policy, ..WorldSetup::default() })?;
    // git uses the host's own name, gh uses github.com.
    let hosts = format!("{},github.com", world.host.origin());
    world.broker.set_env("MOLECULE_BROKER_HOSTS", &hosts);
    world.broker.try_start()?;
    let gh = GhAgents::of(&world);
    if options.gh && gh.is_none() {
        return Err(String::from("gh isn't installed"));
    }
    Ok((world, gh))
}

fn show(options: &Options, world: &World, gh: Option<&GhAgents>) -> ExitCode {
    let gits = gits();
    println!(
        "For {:?}: {}, tokens that live {:?}, platform {}, git host {}",
        options.length,
        who(options, &gits, gh.is_some()),
        options.life,
        world.platform.url(),
        world.host.url(""),
    );

    let interrupted = on_interrupt();
    let traffic = Traffic::default();
    let mut trouble = Trouble::planned(options.length, options.life, options.calm);
    let mut screen = Screen::new();
    let began = Instant::now();
    let wiring = if options.askpass { Wiring::Askpass } else { Wiring::Helper };
    thread::scope(|scope| {
        let (git_agents, gh_agents) = if options.gh { (0, options.clients) } else { (options.clients, 1) };
        let traffic = &traffic;
        for (number, git) in gits.iter().cycle().take(git_agents).enumerate() {
            scope.spawn(move || {
                let mut agent = Agent::new(world, traffic, git, number, "localhost");
                agent.wiring = wiring;
                traffic::work(agent, || traffic.stopped());
            });
        }
        for gh in gh.into_iter().cycle().take(gh_agents) {
            scope.spawn(move || gh.work(world, traffic));
        }
        while began.elapsed() < options.length && !interrupted.load(Ordering::Relaxed) {
            if let Some(event) = trouble.step(began.elapsed(), world, &gits[0]) {
                screen.event(began.elapsed(), &event);
            }
            if screen.is_due() {
                screen.draw(&Facts::gather(world, traffic, &trouble, began.elapsed()));
            }
            thread::sleep(TICK);
        }
        traffic.stop();
    });
    if interrupted.load(Ordering::Relaxed) {
        println!("\ninterrupted");
        return ExitCode::from(130);
    }
    let facts = Facts::gather(world, &traffic, &trouble, began.elapsed());
    screen.draw(&facts);
    let (text, all_well) = summary(&facts, &traffic.operations(), options);
    println!("\n{text}");
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn who(options: &Options, gits: &[Git], has_gh: bool) -> String {
    if options.gh {
        return format!("{} agents with gh and a dead GH_TOKEN", options.clients);
    }
    let versions: Vec<_> = gits.iter().map(|git| git.version.as_str()).collect();
    let gh = if has_gh { "one with gh and a dead GH_TOKEN" } else { "none with gh (it isn't installed)" };
    format!("{} agents with git {}, {gh}", options.clients, versions.join(" and "))
}

fn on_interrupt() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    runtime().spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            set.store(true, Ordering::Relaxed);
        }
    });
    flag
}

struct Screen {
    is_terminal: bool,
    drawn: usize,
    due: Instant,
}

impl Screen {
    fn new() -> Self {
        Self { is_terminal: stdout().is_terminal(), drawn: 0, due: Instant::now() }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    fn draw(&mut self, facts: &Facts) {
        if self.is_terminal {
            self.erase();
            let table = facts.table();
            self.drawn = table.lines().count();
            print!("{table}");
        } else {
            println!("{}", facts.line());
        }
        let _ = stdout().flush();
        self.due = Instant::now() + if self.is_terminal { REDRAW } else { LINE_EVERY };
    }

    /// Prints an event, which stays above the table.
    fn event(&mut self, at: Duration, text: &str) {
        self.erase();
        println!("{:>5.1} s  {text}", at.as_secs_f64());
        self.due = Instant::now();
    }

    fn erase(&mut self) {
        if self.is_terminal && self.drawn > 0 {
            print!("\x1b[{}A\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }
}
