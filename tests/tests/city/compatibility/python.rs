//! pip, uv and GitPython. Each starts the git on `PATH` in its own way.

use std::path::Path;

use crate::compatibility::cell::Cell;
use crate::compatibility::program::{find, git, python_with, version};
use crate::compatibility::scene::{Scene, WIRED, url};

const PROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
                       [project]\nname = \"package\"\nversion = \"0.1.0\"\n";

/// A backend that builds the wheel itself, so that pip contacts no index.
const BACKEND: &str = r#"
import zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "package-0.1.0-py3-none-any.whl"
    info = "package-0.1.0.dist-info/"
    with zipfile.ZipFile(wheel_directory + "/" + name, "w") as wheel:
        wheel.writestr("package.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: package\nVersion: 0.1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", f"package.py,,\n{info}METADATA,,\n{info}WHEEL,,\n{info}RECORD,,\n")
    return name
"#;

#[test]
fn pip_installs_through_a_rotation() {
    let Some(python) = python_with("pip") else { return Cell::skip("pip", "–", "there is no Python with pip here") };
    let _cell = Cell::new("pip", version(&python, &["-m", "pip", "--version"]));
    install(&python, &["-m", "pip", "install", "--no-index", "--no-deps", "--no-cache-dir"]);
}

#[test]
fn uv_installs_through_a_rotation() {
    let Some(uv) = find("uv") else { return Cell::skip("uv", "–", "it can't be fetched from PyPI here") };
    let _cell = Cell::new("uv", version(&uv, &["--version"]));
    install(&uv, &["pip", "install", "--no-index", "--no-deps", "--no-config", "--python", "/usr/bin/python3"]);
}

fn install(program: &Path, arguments: &[&str]) {
    let scene = Scene::new();
    scene.publish(&git(), "acme/package.git", &[("pyproject.toml", PROJECT), ("backend.py", BACKEND)]);
    for wired in WIRED {
        scene.program_through_a_rotation(wired, program, |command, folder| {
            command.args(arguments).arg("--target").arg(folder.join("installed"));
            command.arg(format!("git+{}", url("acme/package.git"))).env("UV_CACHE_DIR", folder.join("cache"));
        });
    }
}

const GIT_PYTHON: &str = "import sys, git\n\
                          repository = git.Repo.clone_from(sys.argv[1], 'clone')\n\
                          repository.remotes.origin.fetch()\n\
                          repository.index.commit('Work')\n\
                          repository.remotes.origin.push('HEAD:main').raise_if_error()\n";

#[test]
fn git_python_clones_and_pushes_through_a_rotation() {
    let Some(python) = python_with("git") else {
        return Cell::skip("GitPython", "–", "it can't be fetched from PyPI here");
    };
    let _cell = Cell::new("GitPython", version(&python, &["-c", "import git; print(git.__version__)"]));
    let scene = Scene::new();
    scene.publish(&git(), "acme/app.git", &[("README", "An app.\n")]);
    for wired in WIRED {
        scene.program_through_a_rotation(wired, &python, |command, _| {
            command.args(["-c", GIT_PYTHON, &url("acme/app.git")]);
        });
    }
}
