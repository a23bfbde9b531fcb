#![no_main]
use molecule_tests::fuzz::origin;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| origin(bytes));
