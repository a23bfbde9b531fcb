//! How each block is run. No test runs the blocks that are listed as
//! [`RunMethod::Shown`]; those rows give the reason.

use crate::docker::FAMILIES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMethod {
    /// As this user in the document's container, to its end and with success. A
    /// `console` block must print the expected output.
    As(&'static str),
    /// There too, as root, and it keeps running, because later blocks need it.
    On,
    /// `.ci/run` contains these lines, or the block runs `.ci/run` itself.
    Ci,
    /// `molecule-broker config` accepts it.
    Config,
    /// The test of this name in this file reads it from the document and runs
    /// it.
    Test(&'static str, &'static str),
    /// It isn't run, for this reason.
    Shown(&'static str),
}

use RunMethod::{As, Ci, Config, On, Shown, Test};

/// Document, first line of the block, and how it is run.
const ROWS: &[(&str, &str, RunMethod)] = &[
    ("CONTRIBUTING.md", ".ci/run", Ci),
    ("README.md", "git ──▶ git-credential-molecule ┐", Shown("a picture")),
    ("README.md", "cargo demo", Ci),
    ("README.md", "$ cargo demo", Shown("the figures of one run; .ci/run runs the demo itself")),
    ("README.md", "tests/run", Ci),
    ("README.md", "docker/assemble . /", As("root")),
    ("README.md", "useradd --create-home agent", As("root")),
    ("README.md", "export PLATFORM_URL=https://platform.example", On),
    ("README.md", "$ su agent -c 'git clone https://github.com/acme/app.git ~/app'", As("root")),
    ("docs/images/README.md", "docker build --file docker/Dockerfile --tag molecule-broker .", GUIDES),
    (
        "docs/images/README.md",
        "RUN /usr/local/lib/molecule-broker/install --starts-as agent",
        Test("docker.rs", "started_without_root_it_serves"),
    ),
    (
        "docs/images/README.md",
        "install -d -m 0755 -o root /broker-configs",
        Test("docker.rs", "a_daemon_that_can_read_the_bearer_is_its_own_user"),
    ),
    ("docs/migration.md", SUPERVISE, On),
    ("docs/migration.md", "molecule-broker doctor", As("agent")),
    ("docs/migration.md", "molecule-broker exec -- your-script", As("agent")),
    ("docs/migration.md", "molecule-broker setup-git --global --remove", As("agent")),
    ("docs/migration.md", "/usr/local/lib/molecule-broker/install --remove", As("root")),
    ("docs/architecture.md", ARCHITECTURE, Shown("a picture")),
    ("docs/operating.md", "molecule-broker doctor", As("agent")),
    ("docs/operating.md", "$ molecule-broker status", As("agent")),
    ("docs/operating.md", "molecule-broker status --json", As("agent")),
    ("docs/operating.md", "molecule-broker config && molecule-broker reload", As("root")),
    ("docs/operating.md", "[metrics]", Config),
    ("docs/operating.md", "$ grep client=helper /var/log/molecule-broker/audit.log | tail -n 1", As("root")),
    ("docs/operating.md", "grep -F \"token_sha256=$hashed_token\" /var/log/molecule-broker/audit.log", As("root")),
    ("docs/operating.md", "cargo run --package molecule-broker --example pages -- target/pages", Ci),
    ("docs/operating.md", "molecule-broker setup-git --system", As("root")),
    (
        "docs/operating.md",
        "MOLECULE_BROKER_GH=login gh codespace list   # this call",
        Shown("it contacts GitHub itself; the tests of rule 56 use the variable both ways"),
    ),
    ("docs/platform.md", REQUEST, Shown("the form of a request")),
    (
        "docs/platform.md",
        "import datetime, http.server, json, os",
        Test("platform_page.rs", "the_platform_of_the_page_serves_a_broker"),
    ),
    ("docs/operating.md", "eval \"$(molecule-broker setup-git --env)\"", As("agent")),
    (
        "fuzz/README.md",
        "fuzz/run 600              # all of them, ten minutes each",
        Shown("it needs cargo-fuzz and takes over an hour; every test run replays the corpus"),
    ),
    (
        "systemd/README.md",
        "install -m 0711 molecule-broker /usr/local/bin/",
        Test("systemd.rs", "the_first_request_starts_the_daemon_and_kill_9_loses_nothing"),
    ),
];

const ARCHITECTURE: &str = "entrypoint ─▶ supervisor ─▶ @daemon ─▶ daemon ─▶ runner ─▶ sinks, hooks, command sources";
const REQUEST: &str = "GET {PLATFORM_URL}/workspaces/{WORKSPACE_ID}/github-installation-token";
const SUPERVISE: &str = "molecule-broker supervise --user agent -- your-command";

/// This includes our own image, from which the families copy our files.
const GUIDES: RunMethod = Test("docker_conformance.rs", "every_familys_guide_makes_an_image_that_honours_the_contract");

/// Returns all rows, including those of the families' guides, which have one
/// form.
pub fn rows() -> Vec<(String, &'static str, RunMethod)> {
    let guides = FAMILIES
        .iter()
        .map(|(family, _)| (format!("docs/images/{family}.md"), "COPY --from=molecule-broker / /", GUIDES));
    ROWS.iter().map(|(document, line, how)| (String::from(*document), *line, *how)).chain(guides).collect()
}

/// Returns how the table says that this block is run.
pub fn run_method(document: &str, first_line: &str) -> Option<RunMethod> {
    rows().into_iter().find(|(name, line, _)| name == document && *line == first_line).map(|(_, _, how)| how)
}
