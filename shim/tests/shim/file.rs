//! The shim's release file, as images contain it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::*;

/// Returns the release file from `MOLECULE_BIN_DIR`, or builds it.
fn release() -> PathBuf {
    if let Some(folder) = std::env::var_os("MOLECULE_BIN_DIR") {
        return Path::new(&folder).join("molecule-shim");
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = machine_tool(env!("CARGO"));
    cargo.args(["build", "--release", "--quiet", "--package", "molecule-shim", "--target-dir"]).arg(target);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    target.join("release/molecule-shim")
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[test]
fn the_file_is_static_and_at_most_64_kib() {
    const PROGRAM: u64 = 2;
    const DYNAMIC: u64 = 2;
    const INTERPRETER: u64 = 3;
    let file = fs::read(release()).unwrap();
    assert!(file.len() <= 64 * 1024, "{} bytes", file.len());
    assert_eq!(number(&file[16..18]), PROGRAM, "fixed addresses: nothing to relocate");
    // elf(5): the program headers' offset, their size and their number.
    let (start, size, count) = (number(&file[32..40]), number(&file[54..56]), number(&file[56..58]));
    for header in 0..count {
        let at = (start + header * size) as usize;
        let kind = number(&file[at..at + 4]);
        assert!(kind != DYNAMIC && kind != INTERPRETER, "header {header} is of kind {kind}");
    }
}

#[test]
fn the_file_runs_in_an_empty_root() {
    if !can(&[Ability::Chroot]) {
        return;
    }
    let world = ShimWorld::new();
    let _server = world.serve("molecule/1 ok\nusername=u\n\n");
    let root = world.folder.join("root");
    fs::create_dir(&root).unwrap();
    fs::rename(world.socket(), root.join("broker.sock")).unwrap();
    let output = run(program("install").arg(release()).arg(root.join(HELPER)), b"");
    assert_eq!(output.status, Some(0), "{output:?}");
    let mut chroot = program("/usr/sbin/chroot");
    chroot.arg(&root).arg(format!("/{HELPER}")).arg("get");
    chroot.env_clear().env("MOLECULE_BROKER_SOCKET", "/broker.sock");
    assert_eq!(run(&mut chroot, GET.as_bytes()), prints("username=u\n"));
}

#[test]
fn the_file_contains_its_version_for_the_doctor() {
    let file = fs::read(release()).unwrap();
    let mark = format!("molecule-shim/{})", env!("CARGO_PKG_VERSION"));
    assert!(file.windows(mark.len()).any(|window| window == mark.as_bytes()));
}
