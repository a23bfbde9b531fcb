#![no_main]
use molecule_tests::fuzz::configuration;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| configuration(bytes));
