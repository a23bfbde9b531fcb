//! Half a minute of chaos by a fixed seed, the last third of it without kills.
//! Longer ones: `tests/chaos --seconds 1800`.

#[test]
fn half_a_minute_of_kills_and_faults_fails_nothing_that_could_be_helped() {
    let output =
        molecule_tests::program(env!("CARGO_BIN_EXE_chaos")).args(["--seed", "5", "--seconds", "30"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
