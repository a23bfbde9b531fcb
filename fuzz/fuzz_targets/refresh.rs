#![no_main]
use molecule_tests::fuzz::refresh;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| refresh(bytes));
