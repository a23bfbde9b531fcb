//! The machine against a scripted source, at instants of our choosing.

mod bench;
mod boot;
mod chance;
mod draws;
mod failure;
mod rejection;
mod success;
mod time;

#[test]
fn the_pure_files_know_no_runtime_no_time_and_no_chance() {
    let pure = [
        include_str!("../machine.rs"),
        include_str!("../event.rs"),
        include_str!("../plan.rs"),
        include_str!("../held.rs"),
        include_str!("../schedule.rs"),
        include_str!("../policy.rs"),
    ];
    for word in ["tokio", "hyper", "rand", "tracing", "::clock", "SystemTime", "Instant"] {
        assert!(pure.iter().all(|text| !text.contains(word)), "{word}");
    }
    assert!(!pure[0].contains("clock"));
}
