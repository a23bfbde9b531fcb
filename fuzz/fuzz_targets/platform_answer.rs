#![no_main]
use molecule_tests::fuzz::platform_answer;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| platform_answer(bytes));
