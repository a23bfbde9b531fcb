//! Links the shim without any C start files or library: one static file that
//! runs in an empty image, in as few pages as it can be (`layout.ld`).

use std::env;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it for every build script");
    let layout = format!("-Wl,-T,{folder}/layout.ld");
    let shape = ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,--no-eh-frame-hdr"];
    // Cargo's own `strip` doesn't reach a package that has a profile of its own.
    let strip = (env::var("PROFILE").as_deref() == Ok("release")).then_some("-Wl,--strip-all");
    for arg in shape.into_iter().chain([layout.as_str()]).chain(strip) {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=layout.ld");
}
