//! The platform that `docs/platform.md` shows serves a broker.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use molecule_tests::blocks;
use molecule_tests::wait::eventually;
use molecule_tests::world::{World, WorldSetup};
use molecule_tests::{program, skip};

const TOKEN: &str = "ghs_of_the_page";

struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_platform_of_the_page_serves_a_broker() {
    if program("python3").arg("--version").output().is_err() {
        return skip("the platform of docs/platform.md: there is no python3 here");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("platform.py");
    fs::write(&program, blocks::find_block("docs/platform.md", "import datetime, http.server, json, os").text).unwrap();
    let _platform = start(&program, port);

    let url = format!("http://127.0.0.1:{port}");
    let variables = [("PLATFORM_URL", url.as_str()), ("WORKSPACE_ID", "w-1")];
    let broker_env = variables.map(|(name, value)| (name, Some(value.to_owned()))).to_vec();
    let mut world = World::new(WorldSetup { broker_env, ..WorldSetup::default() });
    world.write_bearer("wrong");
    world.broker.start();
    let error = || world.broker.credential("github")["last_error"]["class"].clone();
    eventually("a wrong bearer is refused", Duration::from_secs(20), || error() == "http_401");
    world.write_bearer("b");
    let token = || world.broker.control(&["token"]).stdout;
    eventually("the broker serves the platform's token", Duration::from_secs(20), || token().trim_end() == TOKEN);
}

fn start(script: &Path, port: u16) -> Started {
    let mut python = program("python3");
    python.arg(script).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    python.envs([("BEARER", "b"), ("TOKEN", TOKEN)]).env("PORT", port.to_string());
    Started(python.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}
