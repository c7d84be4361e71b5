//! What librdkafka calls in place of its codecs: the linker leads `f` to `__wrap_f`, and `__real_f` to `f` (`build.rs`).
//!
//! Owns every `unsafe` line outside of `client`. It decides nothing.
#![expect(unsafe_code, reason = "the border to librdkafka; each block says why it is sound")]

use std::ffi::{c_char, c_int, c_ulong, c_void};
use std::slice;

use super::{abandon, account, begin, finish, grow, lengths, take_unpacked};

/// The front of zlib's `z_stream`.
#[repr(C)]
struct Stream {
    next_in: *const u8,
    available_in: u32,
    total_in: c_ulong,
    next_out: *mut u8,
    available_out: u32,
    total_out: c_ulong,
}

unsafe extern "C" {
    fn __real_rd_gz_decompress(packed: *const c_void, length: c_int, unpacked: *mut u64) -> *mut c_void;
    fn __real_inflate(stream: *mut Stream, flush: c_int) -> c_int;
    fn __real_rd_kafka_lz4_decompress(
        broker: *mut c_void,
        proper_checksum: c_int,
        offset: i64,
        packed: *mut c_char,
        length: usize,
        into: *mut *mut c_void,
        unpacked: *mut usize,
    ) -> c_int;
    fn __real_rd_kafka_zstd_decompress(
        broker: *mut c_void,
        packed: *mut c_char,
        length: usize,
        into: *mut *mut c_void,
        unpacked: *mut usize,
    ) -> c_int;
    fn __real_ZSTD_decompress(into: *mut c_void, room: usize, packed: *const c_void, length: usize) -> usize;
    fn __real_rd_kafka_snappy_java_uncompress(
        packed: *const c_char,
        length: usize,
        unpacked: *mut usize,
        text: *mut c_char,
        text_length: usize,
    ) -> *mut c_char;
    fn __real_rd_kafka_snappy_uncompressed_length(
        packed: *const c_char,
        length: usize,
        unpacked: *mut usize,
    ) -> bool;
    fn __real_rd_kafka_snappy_uncompress(packed: *const c_char, length: usize, into: *mut c_char) -> c_int;
    fn __real_rd_kafka_buf_new_shadow(bytes: *const c_void, length: usize, free: Option<Free>)
    -> *mut c_void;
}

type Free = unsafe extern "C" fn(*mut c_void);

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_gz_decompress(
    packed: *const c_void,
    length: c_int,
    unpacked: *mut u64,
) -> *mut c_void {
    begin();
    // SAFETY: called as librdkafka calls; on success `unpacked` is the length of the block that is returned.
    unsafe {
        let block = __real_rd_gz_decompress(packed, length, unpacked);
        let length = if block.is_null() { 0 } else { usize::try_from(*unpacked).unwrap_or(0) };
        kept(block, length)
    }
}

/// librdkafka unpacks twice, first to learn the length: a bomb goes no further than this.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_inflate(stream: *mut Stream, flush: c_int) -> c_int {
    // SAFETY: called as librdkafka calls, with a living stream.
    let (code, length) = unsafe { (__real_inflate(stream, flush), (*stream).total_out) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if grow(length.saturating_add(INFLATE_STEP) & !(INFLATE_STEP - 1)) { code } else { Z_DATA_ERROR }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_lz4_decompress(
    broker: *mut c_void,
    proper_checksum: c_int,
    offset: i64,
    packed: *mut c_char,
    length: usize,
    into: *mut *mut c_void,
    unpacked: *mut usize,
) -> c_int {
    begin();
    // SAFETY: called as librdkafka calls, with `length` bytes; on success `into` is a block of `unpacked` bytes.
    unsafe {
        if length >= LZ4_LOOKED_AT && !grow(lengths::lz4(slice::from_raw_parts(packed.cast(), length))) {
            abandon();
            return BAD_COMPRESSION;
        }
        let code =
            __real_rd_kafka_lz4_decompress(broker, proper_checksum, offset, packed, length, into, unpacked);
        kept_or_code(code, into, unpacked)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_zstd_decompress(
    broker: *mut c_void,
    packed: *mut c_char,
    length: usize,
    into: *mut *mut c_void,
    unpacked: *mut usize,
) -> c_int {
    begin();
    // SAFETY: called as librdkafka calls; on success `into` is a block of `unpacked` bytes.
    unsafe {
        let code = __real_rd_kafka_zstd_decompress(broker, packed, length, into, unpacked);
        kept_or_code(code, into, unpacked)
    }
}

/// librdkafka guesses the length, and tries again with more room.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_ZSTD_decompress(
    into: *mut c_void,
    room: usize,
    packed: *const c_void,
    length: usize,
) -> usize {
    if !grow(room) {
        return ZSTD_ERROR;
    }
    // SAFETY: called as librdkafka calls.
    unsafe { __real_ZSTD_decompress(into, room, packed, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_snappy_java_uncompress(
    packed: *const c_char,
    length: usize,
    unpacked: *mut usize,
    text: *mut c_char,
    text_length: usize,
) -> *mut c_char {
    begin();
    // SAFETY: called as librdkafka calls, with `length` bytes and room for a text; on success `unpacked` is the length of
    // the block that is returned.
    unsafe {
        if !grow(lengths::snappy_java(slice::from_raw_parts(packed.cast(), length))) {
            abandon();
            if text_length > 0 {
                *text = 0;
            }
            return std::ptr::null_mut();
        }
        let block = __real_rd_kafka_snappy_java_uncompress(packed, length, unpacked, text, text_length);
        let length = if block.is_null() { 0 } else { *unpacked };
        kept(block.cast(), length).cast()
    }
}

/// librdkafka makes room for what this says, then calls [`__wrap_rd_kafka_snappy_uncompress`].
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_snappy_uncompressed_length(
    packed: *const c_char,
    length: usize,
    unpacked: *mut usize,
) -> bool {
    begin();
    // SAFETY: called as librdkafka calls; on success `unpacked` is the length.
    let fits =
        unsafe { __real_rd_kafka_snappy_uncompressed_length(packed, length, unpacked) && grow(*unpacked) };
    if !fits {
        abandon();
    }
    fits
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_snappy_uncompress(
    packed: *const c_char,
    length: usize,
    into: *mut c_char,
) -> c_int {
    // SAFETY: called as librdkafka calls: `into` has the room that the length before it said, all of which is written on
    // success. The block is librdkafka's, which frees it when this fails.
    unsafe {
        let said = lengths::snappy(slice::from_raw_parts(packed.cast(), length)).unwrap_or(0);
        let code = __real_rd_kafka_snappy_uncompress(packed, length, into);
        if code != 0 {
            abandon();
            return code;
        }
        if finish(into.addr(), slice::from_raw_parts(into.cast(), said)) { 0 } else { -libc::ENOMEM }
    }
}

/// What was unpacked becomes a buffer that its records share; it is freed with the last of them.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_buf_new_shadow(
    bytes: *const c_void,
    length: usize,
    free: Option<Free>,
) -> *mut c_void {
    let free = if take_unpacked(bytes.addr()) { Some(released as Free) } else { free };
    // SAFETY: called as librdkafka calls; what was unpacked came from malloc, and `released` frees it so.
    unsafe { __real_rd_kafka_buf_new_shadow(bytes, length, free) }
}

unsafe extern "C" fn released(block: *mut c_void) {
    account(|account| account.release(block.addr()));
    // SAFETY: librdkafka gives back a block of malloc, once.
    unsafe { libc::free(block) }
}

/// From now on memory of 1 MB and more goes back to the system as soon as it is free. By default glibc keeps up to 64 MB for
/// each of librdkafka's threads, which is of no use to the others. Costs a few per cent where fetches are that large.
pub(super) fn give_back_at_once() {
    #[cfg(target_env = "gnu")]
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: a call of glibc that may be made at any time.
        unsafe { libc::mallopt(parameter, 1 << 20) };
    }
}

/// The block, if it may stay; otherwise it is freed.
///
/// # Safety
/// `block` is null or a block of malloc with `length` bytes that nobody else has.
unsafe fn kept(block: *mut c_void, length: usize) -> *mut c_void {
    if block.is_null() {
        abandon();
        return block;
    }
    // SAFETY: the caller vouches for block and length.
    unsafe {
        if finish(block.addr(), slice::from_raw_parts(block.cast(), length)) {
            return block;
        }
        libc::free(block);
    }
    std::ptr::null_mut()
}

/// # Safety
/// With the code 0, `into` holds what [`kept`] takes, and `unpacked` its length.
unsafe fn kept_or_code(code: c_int, into: *mut *mut c_void, unpacked: *const usize) -> c_int {
    if code != 0 {
        abandon();
        return code;
    }
    // SAFETY: the caller vouches for both.
    unsafe {
        *into = kept(*into, *unpacked);
        if (*into).is_null() { BAD_COMPRESSION } else { 0 }
    }
}

/// `RD_KAFKA_RESP_ERR__BAD_COMPRESSION`.
const BAD_COMPRESSION: c_int = -198;

const Z_DATA_ERROR: c_int = -3;

/// `(size_t)-ZSTD_error_GENERIC`.
const ZSTD_ERROR: usize = usize::MAX;

/// How much room gzip asks for at a time; a power of two.
const INFLATE_STEP: usize = 1 << 16;

/// A shorter lz4 batch unpacks to 16 MB at the most, and is not looked at before.
const LZ4_LOOKED_AT: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn LZ4F_compressFrameBound(length: usize, preferences: *const c_void) -> usize;
        fn LZ4F_compressFrame(
            into: *mut u8,
            room: usize,
            source: *const u8,
            length: usize,
            preferences: *const c_void,
        ) -> usize;
    }

    fn packed_lz4(source: &[u8]) -> Vec<u8> {
        // SAFETY: the buffer has the room that the library asks for.
        unsafe {
            let mut frame = vec![0; LZ4F_compressFrameBound(source.len(), std::ptr::null())];
            let length = LZ4F_compressFrame(
                frame.as_mut_ptr(),
                frame.len(),
                source.as_ptr(),
                source.len(),
                std::ptr::null(),
            );
            frame.truncate(length);
            frame
        }
    }

    #[test]
    fn an_lz4_frame_of_the_library_takes_exactly_what_was_packed() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            state >> 33
        };
        let text: Vec<u8> = (0..20_000)
            .flat_map(|_| format!("{{\"user_id\":\"u{}\"}}", random() % 5000).into_bytes())
            .collect();
        let noise: Vec<u8> = (0..300_000).map(|_| random().to_le_bytes()[0]).collect();
        let same = vec![b'x'; 5_000_000];
        let mixed = [&text[..], &noise, &same, &text].concat();
        for source in [&[][..], b"x", &text, &noise, &same, &mixed] {
            assert_eq!(lengths::lz4(&packed_lz4(source)), source.len());
        }
    }
}
