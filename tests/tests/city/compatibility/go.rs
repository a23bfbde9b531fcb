//! go: modules by the git that it starts, and by `GOAUTH=git`. With that, go
//! runs `git credential fill` itself and sends the credential to a web server.

use std::fs;
use std::path::Path;

use crate::compatibility::cell::Cell;
use crate::compatibility::program::{find, git, version};
use crate::compatibility::scene::{Scene, WIRED};

#[test]
fn go_gets_a_module_by_git_through_a_rotation() {
    get("go, git on PATH", "github.com/acme/module", 0);
}

/// A module whose host has to be asked for the location of its repository.
#[test]
fn go_gets_a_module_by_goauth_through_a_rotation() {
    get("go, GOAUTH=git", "gist.github.com/acme/module", 24);
}

fn get(row: &'static str, module: &str, since: u32) {
    let Some(go) = find("go") else { return Cell::skip(row, "–", "there is no go here") };
    let version = version(&go, &["version"]);
    let minor: u32 = version.split('.').nth(1).and_then(|part| part.parse().ok()).unwrap_or(0);
    if minor < since {
        return Cell::skip(row, &version, &format!("go has it since 1.{since}"));
    }
    let _cell = Cell::new(row, version);
    get_with(&go, module);
}

fn get_with(go: &Path, module: &str) {
    let scene = Scene::new();
    let text = format!("module {module}\n\ngo 1.19\n");
    scene.publish(&git(), "acme/module.git", &[("go.mod", &text), ("module.go", "package module\n")]);
    for wired in WIRED {
        scene.program_through_a_rotation(wired, go, |command, folder| {
            fs::write(folder.join("go.mod"), "module city.test/app\n\ngo 1.19\n").unwrap();
            command.arg("get").arg(format!("{module}@v0.1.0"));
            command.env("GOAUTH", format!("git {}", folder.display()));
            command.env("GOPATH", folder.join("go")).env("GOCACHE", folder.join("cache"));
            command.envs([("GOPROXY", "direct"), ("GOSUMDB", "off"), ("GOTOOLCHAIN", "local")]);
            command.envs([("GOFLAGS", "-mod=mod -modcacherw"), ("GOVCS", "*:git")]);
        });
    }
}
