//! Links the shim without C start files and without a C library. The result is one
//! static file that runs in an empty image and has as few pages as possible
//! (`layout.ld`).

use std::env;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it for every build script");
    let layout = format!("-Wl,-T,{folder}/layout.ld");
    let shape = ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,--no-eh-frame-hdr"];
    // Cargo's own `strip` doesn't apply to a package that has its own profile.
    let strip = (env::var("PROFILE").as_deref() == Ok("release")).then_some("-Wl,--strip-all");
    for arg in shape.into_iter().chain([layout.as_str()]).chain(strip) {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=layout.ld");
}
