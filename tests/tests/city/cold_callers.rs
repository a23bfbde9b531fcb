//! Many clients before the first token: they share one request.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use molecule_tests::platform::PlatformMode;
use molecule_tests::wait::eventually;
use molecule_tests::world::{World, WorldSetup};

const CALLERS: usize = 100;

#[test]
fn rule43_cold_callers_share_a_request_that_the_first_abandons() {
    let mut world = World::new(WorldSetup::default());
    world.platform.set_mode(PlatformMode::Slow(Duration::from_secs(2)));
    world.broker.start();
    let mut callers: Vec<Child> = vec![call(&world)];
    eventually("the first caller's request reaches the platform", Duration::from_secs(5), || {
        world.platform.request_count() == 1
    });
    callers.extend((1..CALLERS).map(|_| call(&world)));
    let mut first = callers.remove(0);
    first.kill().unwrap();
    first.wait().unwrap();

    for caller in callers {
        let output = caller.wait_with_output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.contains("password=ghs_"), "{answer:?} {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(world.platform.request_count(), 1);
}

fn call(world: &World) -> Child {
    let mut child = world
        .shim("git-credential-molecule")
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = format!("protocol=https\nhost={}\n\n", world.host.origin());
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    child
}
