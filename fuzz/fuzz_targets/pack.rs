//! Fuzzes [`backstay_fuzz::pack`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| backstay_fuzz::pack(input));
