#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fetch::fuzzing::content_disposition(data));
