/** The names of the serializers. */
export type SerializerName = "hashstash" | "json" | "msgpack" | "v8";
/** The names of the compressors. */
export type CompressorName = "zstd" | "lz4" | "gzip" | "zlib" | "brotli";
