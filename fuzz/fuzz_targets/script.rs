//! Fuzzes [`backstay_fuzz::script`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| backstay_fuzz::script(input));
