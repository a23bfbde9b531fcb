//! Real git and its prompts: on a terminal, and in other languages.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use molecule_tests::programs::{Git, gits};
use molecule_tests::wait::poll;
use molecule_tests::world::{RunResult, Wiring, World, WorldSetup, run, write_program};
use molecule_tests::{program, skip};
use nix::pty::openpty;

#[test]
fn rule17_a_refused_git_ends_without_reading_its_terminal() {
    let mut world = World::new(WorldSetup::default());
    world.host.create_repository("acme/app.git");
    world.platform.refuse_connections();
    world.broker.start();
    for git in gits() {
        for wiring in [Wiring::Helper, Wiring::Askpass, Wiring::Both] {
            let said = ls_remote_on_a_terminal(&world, &git, wiring);
            assert!(said.contains("ended with 128"), "git {} {wiring:?}: {said}", git.version);
            assert!(said.contains("left: typed ahead"), "git {} {wiring:?}: {said}", git.version);
        }
    }
}

/// Runs git on a terminal with a line typed ahead. A shell that reads the
/// terminal after git must still get that line: a program that reads it earlier
/// takes it away.
fn ls_remote_on_a_terminal(world: &World, git: &Git, wiring: Wiring) -> String {
    let script = r#"
        began=$(date +%s%N)
        "$GIT" ls-remote "$URL" 2>&1
        echo "ended with $? after $(( ($(date +%s%N) - began) / 1000000 )) ms"
        IFS= read -r line </dev/tty
        echo "left: $line"
    "#;
    let pty = openpty(None, None).unwrap();
    let mut master = File::from(pty.master);
    master.write_all(b"typed ahead\n").unwrap();
    let wired = world.git(git, wiring);
    let mut shell = program("setsid");
    shell.args(["--ctty", "--wait", "sh", "-c", script]).env_clear().current_dir(world.work());
    for (name, value) in wired.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.env("GIT", &git.path).env("URL", world.host.url("acme/app.git"));
    let mut child = shell.stdin(Stdio::from(pty.slave)).stdout(Stdio::piped()).spawn().unwrap();
    let ended = poll(Duration::from_secs(15), || child.try_wait().unwrap());
    if ended.is_none() {
        child.kill().unwrap();
        panic!("git {} {wiring:?} waits for the terminal", git.version);
    }
    let said = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    let took = said.split("after ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(took.parse::<u64>().unwrap() < 2000, "git {} {wiring:?} took {took} ms", git.version);
    said
}

/// Locale and `LANGUAGE` of an environment. The others are compared with the
/// first. The next two locales are created here, and the last one doesn't
/// exist.
const LANGUAGES: [(&str, &str); 5] =
    [("C", ""), ("de_DE.UTF-8", "de"), ("tr_TR.UTF-8", "tr:de"), ("C.UTF-8", "de:tr"), ("no_such", "ja")];

/// The locales that are created, so that git really uses these languages.
const MADE: [&str; 2] = ["de_DE", "tr_TR"];

/// Creates glibc's locales, since a slim image has only `C`. Prints a SKIP line
/// if it can't.
fn make_locales(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for name in MADE {
        let mut localedef = program("localedef");
        localedef.args(["-f", "UTF-8", "-i", name]).arg(folder.join(format!("{name}.UTF-8")));
        let made = program("sh").args(["-c", "command -v localedef"]).output().unwrap().status.success()
            && run(&mut localedef, Duration::from_secs(60)).success();
        if !made {
            skip(&format!("git's prompts in {name}: no such locale can be created here (Debian's package locales)"));
        }
    }
}

struct Speaker<'w> {
    world: &'w World,
    git: &'w Git,
    language: (&'static str, &'static str),
}

impl Speaker<'_> {
    fn run(&self, wiring: Wiring, arguments: &[&str]) -> RunResult {
        let mut command = self.world.git(self.git, wiring);
        if wiring == Wiring::Askpass {
            command.env("GIT_ASKPASS", self.world.bin().join("askpass-with-notes"));
        }
        command.env("LOCPATH", self.world.path().join("locales"));
        command.env("LC_ALL", self.language.0).env("LANGUAGE", self.language.1);
        run(command.args(arguments), Duration::from_secs(15))
    }

    /// Returns git's message for a folder that isn't a repository. git has this
    /// text in each of its languages.
    fn sample(&self) -> String {
        self.run(Wiring::Nothing, &["status"]).stderr
    }

    /// Returns git's prompts for a repository, and checks that the answers give
    /// access to it.
    #[track_caller]
    fn prompts(&self) -> String {
        let notes = self.world.path().join("prompts");
        let _ = fs::remove_file(&notes);
        let ran = self.run(Wiring::Askpass, &["ls-remote", &self.world.host.url("acme/app.git")]);
        assert!(ran.success(), "git {} in {:?}: {ran:?}", self.git.version, self.language);
        fs::read_to_string(notes).unwrap()
    }
}

#[test]
fn rule18_prompts_and_answers_are_the_same_in_any_language() {
    let mut world = World::started(WorldSetup::default());
    world.host.create_repository("acme/app.git");
    make_locales(&world.path().join("locales"));
    let script = format!(
        "#!/bin/sh\nprintf '%s|\\n' \"$@\" >>{}\nexec molecule-askpass \"$@\"\n",
        world.path().join("prompts").display()
    );
    write_program(&world.bin().join("askpass-with-notes"), &script);
    let origin = world.host.origin();
    let asked = format!("Username for 'https://{origin}': |\nPassword for 'https://x-access-token@{origin}': |\n");
    let gits = gits();
    each(&world, &gits, |speaker, plain| {
        if MADE.iter().any(|name| speaker.language.0.starts_with(name)) && speaker.sample() == plain.sample() {
            let (version, language) = (&speaker.git.version, speaker.language.0);
            skip(&format!(
                "git {version}'s prompts in {language}: it comes without translations, or the locale isn't there"
            ));
        }
        assert_eq!(speaker.prompts(), asked, "git {} in {:?}", speaker.git.version, speaker.language);
        speaker.run(Wiring::Helper, &["ls-remote", &world.host.url("acme/app.git")]).ok();
        // Out of scope, only git prints a message.
        let elsewhere =
            speaker.run(Wiring::Askpass, &["ls-remote", &world.host.url_as("evil.localhost", "acme/app.git")]);
        assert!(elsewhere.code() == Some(128) && !elsewhere.stderr.contains("molecule-broker: "), "{elsewhere:?}");
    });

    world.broker.kill();
    world.platform.refuse_connections();
    world.broker.start();
    each(&world, &gits, |speaker, _| {
        for wiring in [Wiring::Helper, Wiring::Askpass] {
            let ran = speaker.run(wiring, &["ls-remote", &world.host.url("acme/app.git")]);
            let ours: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("molecule-broker: ")).collect();
            let says = ours.len() == 1 && ours[0].contains(&format!("no credential for https://{origin}"));
            assert!(ran.code() == Some(128) && says, "git {} in {:?}: {ran:?}", speaker.git.version, speaker.language);
        }
    });
}

/// Checks every git in every language, together with the same git in plain
/// English.
fn each(world: &World, gits: &[Git], check: impl Fn(&Speaker<'_>, &Speaker<'_>)) {
    for git in gits {
        let speaker = |language| Speaker { world, git, language };
        LANGUAGES.iter().for_each(|language| check(&speaker(*language), &speaker(LANGUAGES[0])));
    }
}
