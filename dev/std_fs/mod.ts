/**
 * A local stand-in for the functions of `jsr:@std/fs` that this repository uses, for machines
 * that cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */
export * from "./ensure_dir.ts";
export * from "./walk.ts";
