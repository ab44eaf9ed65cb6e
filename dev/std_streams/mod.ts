/**
 * A local stand-in for the functions of `jsr:@std/streams` that this repository uses, for machines
 * that cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */
export * from "./delimiter_stream.ts";
