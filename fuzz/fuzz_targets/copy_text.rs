//! Fuzzes [`backstay_fuzz::copy_text`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| backstay_fuzz::copy_text(input));
