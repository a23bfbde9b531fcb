#![no_main]
use molecule_tests::fuzz::prompt;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prompt(bytes));
