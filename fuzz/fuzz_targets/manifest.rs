//! Fuzzes [`backstay_fuzz::manifest`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| backstay_fuzz::manifest(input));
