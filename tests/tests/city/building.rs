//! The checkout under the toolchain of any machine.

use std::env;
use std::time::Duration;

use molecule_tests::docker::repository_root;
use molecule_tests::world::run;
use molecule_tests::{machine_tool, skip};

const PATIENCE: Duration = Duration::from_secs(60);

/// In an image, the toolchain has a version as its name, and a build there has
/// no network. If this repository named a channel, rustup would have to
/// download it.
#[test]
fn the_checkout_needs_only_the_installed_toolchain() {
    let path = env::var_os("PATH").unwrap_or_default();
    let Some(proxies) = env::split_paths(&path).find(|folder| folder.join("rustup").is_file()) else {
        return skip("the checkout under another toolchain: there is no rustup here");
    };
    let home = tempfile::tempdir().unwrap();
    let ask = |program: &str, arguments: &[&str]| {
        let mut command = machine_tool(proxies.join(program));
        command.args(arguments).current_dir(repository_root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
        command.env("RUSTUP_HOME", home.path()).env("RUSTUP_DIST_SERVER", "http://localhost:9");
        run(&mut command, PATIENCE)
    };
    let sysroot = run(machine_tool("rustc").args(["--print", "sysroot"]), PATIENCE).ok().stdout;
    ask("rustup", &["toolchain", "link", "by-version", sysroot.trim()]).ok();
    ask("rustup", &["default", "by-version"]).ok();
    ask("cargo", &["metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]).ok();
}
