//! Replays every input of the corpus: those written by hand and those that the
//! fuzzer found.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use molecule_tests::fuzz;

/// Fewer inputs mean that the corpus wasn't found.
const FEWEST: usize = 20;

#[track_caller]
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let fails = |file: &&std::path::PathBuf| {
        let bytes = fs::read(file).unwrap();
        catch_unwind(|| run(&bytes)).is_err()
    };
    let failed: Vec<_> = files.iter().filter(fails).collect();
    println!("{target}: {} inputs", files.len());
    assert!(failed.is_empty(), "{target} fails on {failed:#?}");
    assert!(files.len() >= FEWEST, "only {} inputs in {}", files.len(), folder.display());
}

#[test]
fn bytes_on_the_socket_are_read_as_a_naive_reader_reads_them() {
    replay("frame", fuzz::frame);
}

#[test]
fn the_shim_sends_only_what_the_decision_needs() {
    replay("git_text", fuzz::git_text);
}

#[test]
fn only_gits_own_prompts_are_answered() {
    replay("prompt", fuzz::prompt);
}

#[test]
fn origins_match_as_a_naive_reference_says() {
    replay("origin", fuzz::origin);
}

#[test]
fn an_answer_gives_a_live_token_or_a_reason_without_secrets() {
    replay("platform_answer", fuzz::platform_answer);
}

#[test]
fn a_configuration_is_valid_or_its_faults_are_reported() {
    replay("configuration", fuzz::configuration);
}

#[test]
fn a_damaged_lease_memory_is_never_accepted() {
    replay("lease_memory", fuzz::lease_memory);
}

#[test]
fn the_machine_never_serves_dead_tokens_or_loses_live_ones() {
    replay("refresh", fuzz::refresh);
}
