/**
 * A local stand-in for the functions of `jsr:@std/encoding` that this repository uses, for machines
 * that cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */
export * from "./base64.ts";
export * from "./hex.ts";
