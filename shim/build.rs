//! Links the shim without any C start files or library: one static file that
//! runs in an empty image, in as few pages as it can be.

fn main() {
    let shape = ["-nostartfiles", "-nostdlib", "-static", "-no-pie"];
    // Code and constants in one segment; no page for notes or for unwinding,
    // since nothing unwinds.
    let lean = ["-Wl,-z,noseparate-code", "-Wl,-z,norelro", "-Wl,--build-id=none", "-Wl,--no-eh-frame-hdr"];
    for arg in shape.into_iter().chain(lean) {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
