//! cargo's three ways to a git dependency: libgit2, which reads git's files and
//! starts helpers itself; the git on `PATH`; and gitoxide.
//!
//! Behind a proxy the first and the last ask no helper at all (seen with cargo
//! 1.95): one uses a transport without credentials, the other takes the proxy's
//! `200` for the host's. So these two connect to a host directly. Debian's
//! libgit2 trusts only the machine's own roots, so its host has no TLS.

use std::fs;
use std::path::Path;

use crate::compatibility::cell::Cell;
use crate::compatibility::program::{cargos, git, version};
use crate::compatibility::scene::{Scene, WIRED, Wired, url};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    /// Through the proxy.
    GitHub,
    /// Directly, by a name with a port.
    Direct,
    /// Directly, without TLS.
    Plain,
}

struct Way {
    row: &'static str,
    wired: &'static [Wired],
    arguments: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    site: Site,
    /// Text that this way's `User-Agent` contains.
    agent: &'static str,
    /// First minor version of cargo that supports it.
    since: u32,
}

const LIBGIT2: Way = Way {
    row: "cargo, libgit2",
    // libgit2 knows none of git's variables.
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
    // gitoxide knows some of git's variables, and its prompt differs from
    // git's.
    wired: &[Wired::File],
    arguments: &["-Zgitoxide=fetch", "fetch"],
    // A released cargo accepts the flag only with this variable.
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
            Cell::skip(way.row, &version, &format!("cargo has it since 1.{}", way.since));
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
    // Users of libgit2 look for a helper of the host without its port.
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

/// Returns cargo's minor version. Debian 12 calls it `0.66.0`, which came with
/// 1.65.
fn minor(version: &str) -> u32 {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    match (numbers.next(), numbers.next()) {
        (Some(1), Some(minor)) => minor,
        _ => 65,
    }
}
