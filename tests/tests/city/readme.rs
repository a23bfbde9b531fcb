//! Runs every block of the documents as it is written, and compares its output
//! with the output that the document shows.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use molecule_protocol::encoding::base64_digest;
use molecule_tests::blocks::{self, Block, console, table};
use molecule_tests::docker::{
    City, Container, ExecOptions, Image, agent_image, base_image, can_run_containers, checkout_mounts, repository_root,
};
use molecule_tests::git_host::CredentialState;
use molecule_tests::programs::programs;
use molecule_tests::world::{RunResult, run};
use table::RunMethod;

const HOUR: Duration = Duration::from_secs(3600);
const FETCH: &str = "git ls-remote https://github.com/acme/app.git";

/// Creates the commands that the documents leave to the reader.
const READERS_OWN: &str = "printf '#!/bin/sh\\nexec sleep infinity\\n' >/usr/local/bin/your-command\n\
                           printf '#!/bin/sh\\necho \"$GH_TOKEN\"\\n' >/usr/local/bin/your-script\n\
                           chmod 0755 /usr/local/bin/your-*";

#[test]
fn every_block_has_its_row_and_every_row_its_block() {
    let mut blocks = BTreeSet::new();
    for document in blocks::documents() {
        for block in blocks::blocks_in(&document) {
            let known = ["console", "dockerfile", "python", "sh", "text", "toml"].contains(&block.language.as_str());
            assert!(known, "{}: no test runs a block of {:?}", block.place, block.language);
            let new = blocks.insert((document.clone(), String::from(block.first_line())));
            assert!(new, "{}: another block begins with the same line", block.place);
        }
    }
    let rows: BTreeSet<_> = table::rows().into_iter().map(|(name, line, _)| (name, String::from(line))).collect();
    let unrun: Vec<_> = blocks.difference(&rows).collect();
    assert!(unrun.is_empty(), "tests/src/blocks/table.rs doesn't say how to run {unrun:#?}");
    let gone: Vec<_> = rows.difference(&blocks).collect();
    assert!(gone.is_empty(), "tests/src/blocks/table.rs has rows for blocks that don't exist: {gone:#?}");
}

#[test]
fn blocks_that_other_tests_run_are_run_there() {
    let read = |name: &str| fs::read_to_string(repository_root().join(name)).unwrap();
    let checks = read(".ci/run");
    for (document, line, how) in table::rows() {
        match how {
            RunMethod::Ci => {
                for line in blocks::find_block(&document, line).text.lines().filter(|line| *line != ".ci/run") {
                    assert!(checks.contains(line), "{document}: .ci/run doesn't run: {line}");
                }
            }
            RunMethod::Test(file, name) => {
                let code = read(&format!("tests/tests/city/{file}"));
                assert!(code.contains(&format!("fn {name}(")), "{document}: {file} has no test {name}");
            }
            RunMethod::Shown(reason) => println!("{document}: {line:?} isn't run: {reason}"),
            RunMethod::As(_) | RunMethod::On | RunMethod::Config => {}
        }
    }
}

#[test]
fn every_configuration_in_a_block_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (document, line, _) in table::rows().into_iter().filter(|(_, _, how)| *how == RunMethod::Config) {
        let block = blocks::find_block(&document, line);
        let file = folder.path().join("config.toml");
        fs::write(&file, &block.text).unwrap();
        let mut config = molecule_tests::program(&programs().broker);
        // Not in /run, where only root may write.
        config
            .env_clear()
            .env("MOLECULE_BROKER_SOCKET", folder.path().join("broker.sock"))
            .arg("--config")
            .arg(&file)
            .arg("config");
        let ran = run(&mut config, Duration::from_secs(10));
        assert!(ran.success(), "{}: {}", block.place, ran.stderr);
        count += 1;
    }
    assert!(count > 0);
}

/// Replaces the placeholders as a reader would.
fn with_readers_own(text: &str, city: &City) -> String {
    text.replace("https://platform.example", &city.platform.url()).replace("your-workspace", &city.platform.workspace())
}

/// A container in which a document is followed from its beginning to its end.
struct Machine {
    city: City,
    container: Container,
    env: Vec<(&'static str, String)>,
}

impl Machine {
    fn new(city: City, container: Container) -> Self {
        container.sh_as_root(READERS_OWN).ok();
        let env = city.git_variables();
        Self { city, container, env }
    }

    /// Runs the blocks that the table assigns to a machine.
    #[track_caller]
    fn read(&self, document: &str) {
        for block in blocks::blocks_in(document) {
            match table::run_method(document, block.first_line()) {
                Some(RunMethod::As(user)) => self.follow(user, &block),
                Some(RunMethod::On) => self.leave_running(&block),
                _ => {}
            }
        }
    }

    #[track_caller]
    fn follow(&self, user: &'static str, block: &Block) {
        if block.language == "console" {
            let exchanges = console::parse_exchanges(&block.text);
            let ran = self.sh(user, &console::script_for(&exchanges)).ok();
            if let Err(difference) = console::compare(&exchanges, &ran.stdout) {
                panic!("{}: {difference}", block.place);
            }
        } else {
            let ran = self.sh(user, &format!("set -e\n{}", block.text));
            assert!(ran.success(), "{}: {ran:?}\n{}", block.place, self.container.log());
        }
    }

    #[track_caller]
    fn leave_running(&self, block: &Block) {
        let text = with_readers_own(&block.text, &self.city);
        let words = ["sh", "-c", &format!("{{ {text}}} >/proc/1/fd/1 2>&1 &")];
        self.container.exec(&self.options("root"), &words).ok();
        let ready = self.sh("root", "molecule-broker status --wait 30s --strict");
        assert!(ready.success(), "{}: {ready:?}\n{}", block.place, self.container.log());
    }

    /// Runs a script in a new shell, in the folder of the checkout.
    fn sh(&self, user: &'static str, script: &str) -> RunResult {
        self.container.exec(&self.options(user), &["bash", "-lc", &format!("cd /src 2>/dev/null || cd ~\n{script}")])
    }

    fn options(&self, user: &'static str) -> ExecOptions {
        ExecOptions { user: Some(user), env: self.env.clone(), ..ExecOptions::default() }
    }
}

/// The machine has git and nothing else, and the built programs where cargo
/// leaves them.
#[test]
fn the_readme_leads_from_an_empty_machine_to_a_private_clone() {
    if !can_run_containers("the README's way from an empty machine to a clone") {
        return;
    }
    let city = City::new(HOUR);
    let checkout = checkout_mounts("target/release/");
    let options: Vec<&str> = checkout.iter().map(String::as_str).collect();
    let container = Container::start_with(city.network(), &base_image("systemd"), &options, &["sleep", "infinity"]);
    let bearer = fs::read_to_string(city.bearer_file()).unwrap();
    let machine = Machine::new(city, container);
    let cargo = "printf '#!/bin/sh\\n[ \"$*\" = \"build --release --locked --target-dir target -p molecule-broker -p molecule-shim\" ]\\n' >/usr/local/bin/cargo; chmod 0755 /usr/local/bin/cargo";
    machine.container.sh_as_root(&format!("set -e; {cargo}; printf '{bearer}' >/src/bearer")).ok();
    assert!(!machine.sh("root", FETCH).success(), "the repository isn't private");

    machine.read("README.md");

    let there = machine.sh("agent", "git -C ~/app log --format=%s");
    assert_eq!(there.stdout, "The first commit\n", "{there:?}");
    let host = &machine.city.host;
    assert!(host.shown_count(CredentialState::Live) > 0);
    assert_eq!(host.dead_shown(), 0);
}

/// The reader learns the manifest's requirements before anything is built.
#[test]
fn the_readme_names_what_a_build_needs() {
    let manifest = fs::read_to_string(repository_root().join("Cargo.toml")).unwrap();
    let least = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    let readme = fs::read_to_string(repository_root().join("README.md")).unwrap();
    for need in [&format!("Rust {least} or newer"), "git, a C compiler", "gcc libc6-dev", " GB |", " minute"] {
        assert!(readme.contains(need), "README.md doesn't say: {need}");
    }
}

#[test]
fn the_migration_guide_leads_to_the_broker_and_back() {
    if !can_run_containers("the migration guide") {
        return;
    }
    let city = City::new(HOUR);
    let container = Container::start(&city, agent_image(), &["--entrypoint=sleep"], &["infinity"]);
    container.sh_as_root("chown agent /configs").ok();
    let machine = Machine::new(city, container);
    machine.read("docs/migration.md");
    assert!(!machine.sh("root", &format!("GIT_ASKPASS= {FETCH}")).success(), "git still asks the broker");
}

#[test]
fn the_operating_guides_commands_print_what_it_shows() {
    if !can_run_containers("the operating guide") {
        return;
    }
    let city = City::new(HOUR);
    let lines = "RUN install -d /etc/molecule-broker && install -d -o agent /var/log/molecule-broker && \
                 printf '[log]\\naudit_file = \"/var/log/molecule-broker/audit.log\"\\n' >/etc/molecule-broker/config.toml";
    let image = Image::build("operated", &format!("FROM {}\n{lines}\n", agent_image()));
    let container = Container::start(&city, &image.name, &[], &[]).wait_until_ready();
    let mut machine = Machine::new(city, container);
    machine.sh("agent", FETCH).ok();
    let shown = machine.city.host.shown().last().unwrap().password_sha256;
    machine.env.push(("hashed_token", String::from_utf8(base64_digest(&shown).to_vec()).unwrap()));
    machine.read("docs/operating.md");
}
