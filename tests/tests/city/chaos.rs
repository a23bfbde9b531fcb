//! Half a minute of chaos with a fixed seed, the last third of it without
//! kills. For a longer run: `tests/chaos --seconds 1800`.

use molecule_tests::only_in_full_run;

#[test]
fn in_half_a_minute_of_chaos_every_failure_is_excused() {
    if !only_in_full_run("half a minute of chaos") {
        return;
    }
    let output =
        molecule_tests::program(env!("CARGO_BIN_EXE_chaos")).args(["--seed", "5", "--seconds", "30"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
