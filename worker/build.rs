//! Has the linker put `src/unpack/border.rs` between librdkafka and what unpacks batches for it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The names are librdkafka's own: a version that lacks one of them does not link.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        for function in WRAPPED {
            println!("cargo::rustc-link-arg-bins=-Wl,--wrap={function}");
        }
    }
}

const WRAPPED: [&str; 9] = [
    "inflate",
    "rd_gz_decompress",
    "rd_kafka_lz4_decompress",
    "rd_kafka_snappy_java_uncompress",
    "rd_kafka_snappy_uncompressed_length",
    "rd_kafka_snappy_uncompress",
    "rd_kafka_zstd_decompress",
    "ZSTD_decompress",
    "rd_kafka_buf_new_shadow",
];
