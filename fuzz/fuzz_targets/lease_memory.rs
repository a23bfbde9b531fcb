#![no_main]
use molecule_tests::fuzz::lease_memory;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lease_memory(bytes));
