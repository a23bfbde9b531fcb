#![no_main]
use molecule_tests::fuzz::git_text;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| git_text(bytes));
