#![no_main]
use molecule_tests::fuzz::frame;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frame(bytes));
