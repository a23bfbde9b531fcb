//! cargo's three ways to a git dependency: libgit2, which reads git's files
//! and starts helpers by itself; the git on `PATH`; and gitoxide.
//!
//! Behind a proxy the first and the last ask no helper at all (seen with cargo
//! 1.95): one takes a transport that knows no credentials, the other takes the
//! proxy's `200` for the host's. So those two go to a host directly. Debian's
//! libgit2 believes in the machine's own roots only, so its host has no TLS.

use std::fs;
use std::path::Path;

use crate::compatibility::cell::Cell;
use crate::compatibility::program::{cargos, git, version};
use crate::compatibility::scene::{Scene, WIRED, Wired, url};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    /// By the proxy.
    GitHub,
    /// Directly, under a name with a port.
    Direct,
    /// Likewise, without TLS.
    Plain,
}

struct Way {
    row: &'static str,
    wired: &'static [Wired],
    arguments: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    site: Site,
    /// What this way's `User-Agent` holds.
    agent: &'static str,
    /// The first of cargo's versions that has it.
    since: u32,
}

const LIBGIT2: Way = Way {
    row: "cargo, libgit2",
    // It knows none of git's variables.
    wired: &[Wired::File],
    arguments: &["fetch"],
    env: &[("CARGO_NET_GIT_FETCH_WITH_CLI", "false")],
    site: Site::Plain,
    agent: "libgit2",
    since: 0,
};

const GIT: Way = Way {
    row: "cargo, git on PATH",
    wired: &WIRED,
    arguments: &["fetch"],
    env: &[("CARGO_NET_GIT_FETCH_WITH_CLI", "true")],
    site: Site::GitHub,
    agent: "git/",
    since: 0,
};

const GITOXIDE: Way = Way {
    row: "cargo, gitoxide",
    // It knows some of git's variables, and its prompt isn't git's.
    wired: &[Wired::File],
    arguments: &["-Zgitoxide=fetch", "fetch"],
    // A released cargo takes the flag only so.
    env: &[("CARGO_NET_GIT_FETCH_WITH_CLI", "false"), ("RUSTC_BOOTSTRAP", "1")],
    site: Site::Direct,
    agent: "oxide",
    since: 85,
};

#[test]
fn cargo_fetches_by_libgit2_through_a_rotation() {
    fetch(&LIBGIT2);
}

#[test]
fn cargo_fetches_by_git_through_a_rotation() {
    fetch(&GIT);
}

#[test]
fn cargo_fetches_by_gitoxide_through_a_rotation() {
    fetch(&GITOXIDE);
}

fn fetch(way: &Way) {
    let cargos = cargos();
    if cargos.is_empty() {
        Cell::skip(way.row, "–", "there is no cargo here");
    }
    for cargo in cargos {
        let version = version(&cargo, &["--version"]);
        if minor(&version) < way.since {
            Cell::skip(way.row, &version, &format!("this cargo is older than 1.{}", way.since));
            continue;
        }
        let _cell = Cell::new(way.row, version);
        fetch_with(&cargo, way);
    }
}

fn fetch_with(cargo: &Path, way: &Way) {
    let scene = Scene::new();
    let library = "[package]\nname = \"library\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let (name, files) = ("acme/library.git", [("Cargo.toml", library), ("src/lib.rs", "")]);
    let url = match way.site {
        Site::GitHub => url(name),
        Site::Direct => scene.world.host.url(name),
        Site::Plain => scene.plain.url(name),
    };
    match way.site {
        Site::Plain => scene.publish_plainly(&git(), name, &files),
        Site::GitHub | Site::Direct => scene.publish(&git(), name, &files),
    }
    // libgit2's users look for a helper of the host without its port.
    scene.setup_git(&["http://localhost"]);
    let dependency = format!("[dependencies]\nlibrary = {{ git = \"{url}\" }}\n");
    let manifest = library.replace("library", "app") + &dependency;
    for &wired in way.wired {
        scene.program_through_a_rotation(wired, cargo, |command, folder| {
            fs::create_dir(folder.join("src")).unwrap();
            fs::write(folder.join("src/lib.rs"), "").unwrap();
            fs::write(folder.join("Cargo.toml"), &manifest).unwrap();
            command.args(way.arguments).envs(way.env.iter().copied());
            command.env("CARGO_HOME", folder.join("cargo")).env("RUSTC", cargo.with_file_name("rustc"));
            if way.site != Site::GitHub {
                command.env_remove("https_proxy").env_remove("HTTPS_PROXY");
            }
        });
        let shown = [scene.world.host.shown(), scene.plain.shown()].concat();
        assert!(shown.iter().any(|shown| shown.agent.contains(way.agent)), "{}: {shown:?}", way.row);
    }
}

/// Of cargo's own version; Debian 12 names it `0.66.0`, which came with 1.65.
fn minor(version: &str) -> u32 {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    match (numbers.next(), numbers.next()) {
        (Some(1), Some(minor)) => minor,
        _ => 65,
    }
}
