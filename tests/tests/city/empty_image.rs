//! The shim alone, in a root directory that contains only the shim and the
//! socket: by chroot, and as a container built from scratch.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use molecule_tests::programs::programs;
use molecule_tests::world::{World, WorldSetup, run, run_with_input};
use molecule_tests::{Ability, can, machine_tool, program, skip};

const LIMIT: u64 = 64 * 1024;

#[test]
fn the_shim_is_one_static_file_of_at_most_64_kib() {
    let bytes = fs::read(&programs().shim).unwrap();
    assert!(bytes.len() as u64 <= LIMIT, "{} bytes", bytes.len());
    let asks_for_a_loader = bytes.windows(6).any(|window| window == b"ld-lin" || window == b"ld-mus");
    assert!(!asks_for_a_loader, "it names a dynamic loader");
}

#[test]
fn the_shim_answers_in_an_empty_root_directory() {
    if !can(&[Ability::Chroot]) {
        return;
    }
    let world = World::started(WorldSetup::default());
    fs::copy(&programs().shim, world.path().join("run/git-credential-molecule")).unwrap();
    let mut chroot = program("chroot");
    chroot.arg(world.path().join("run")).args(["/git-credential-molecule", "get"]);
    chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("MOLECULE_BROKER_SOCKET", "/broker.sock");
    answers(&world, &mut chroot);
}

#[test]
fn the_shim_answers_in_a_container_from_scratch() {
    let docker = |arguments: &[&str]| run(machine_tool("docker").args(arguments), Duration::from_secs(60));
    let there = machine_tool("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return skip("the shim in a container from scratch: no Docker engine answers here");
    }
    let world = World::started(WorldSetup::default());
    let image = format!("molecule-shim-test-{}", std::process::id());
    let tar = world.path().join("image.tar").display().to_string();
    let root = world.path().join("image");
    fs::create_dir(&root).unwrap();
    fs::copy(&programs().shim, root.join("git-credential-molecule")).unwrap();
    run(program("tar").args(["-cf", &tar, "-C"]).arg(&root).arg("."), Duration::from_secs(10)).ok();
    docker(&["import", &tar, &image]).ok();
    let mount = format!("{}:/run/molecule-broker", world.path().join("run").display());
    let mut container = machine_tool("docker");
    container.args(["run", "--rm", "--interactive", "--network=none", "--volume", &mount]);
    container.args([&image, "/git-credential-molecule", "get"]);
    answers(&world, &mut container);
    docker(&["image", "rm", "--force", &image]);
}

fn answers(world: &World, command: &mut Command) {
    let request = format!("protocol=https\nhost={}\n\n", world.host.origin());
    let ran = run_with_input(command, request.as_bytes(), Duration::from_secs(30)).ok();
    assert!(ran.stdout.contains("password=ghs_"), "{ran:?}");
    assert_eq!(ran.stderr, "");
}
