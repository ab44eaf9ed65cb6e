/**
 * The whole names of stores, kept beside the files and folders whose names have a hash in their
 * place: two names could have one hash, and their stores would be one.
 */
import { basename, dirname, join } from "node:path";
import { errorCode, isNotFound } from "../platform/errors.ts";
import {
  folderMode,
  isAbsent,
  lstatSync,
  makeFolderSync,
  readFileSync,
  removeSync,
  writeFileSync,
} from "../platform/files.ts";
import { delay, now } from "../platform/timers.ts";
import type { EngineLocation } from "./engine.ts";
import { encodeSegment, nameFolder } from "./location.ts";
import { pathOption, storePath } from "./paths.ts";

/** How long another process may take to write a name down, ms. */
const WRITING = 1_000;
const PAUSE = 5;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A file or folder that is named by a hash, and what it is called. */
export interface NamedPath {
  /** Its path, without the ending that an engine's files have. */
  readonly path: string;
  /** The file that keeps the name. */
  readonly file: string;
  /** The name or dbname. */
  readonly text: string;
}

/** The parts of what `storePath` gives that hashes stand for. */
export function storeNames(
  engine: string,
  location: EngineLocation,
  options: Record<string, unknown>,
): NamedPath[] {
  const segments = location.dbname.split("/");
  const parts = segments.map((text, i) => {
    const dbname = segments.slice(0, i + 1).join("/");
    const path = storePath(engine, { ...location, dbname }, options);
    // Beside it: DiskCache's check removes what it doesn't know.
    return { path, file: `${path}.name`, text };
  });
  return [...sharedNames(location, options), ...parts.filter(isHashed)];
}

/** The part of what `sharedPath` gives that a hash stands for, if it does. */
export function sharedNames(
  location: EngineLocation,
  options: Record<string, unknown>,
): NamedPath[] {
  if (pathOption(options) !== undefined) return [];
  const path = nameFolder(location);
  return [{ path, file: join(path, ".name"), text: location.name }].filter(isHashed);
}

function isHashed({ text }: NamedPath): boolean {
  return encodeSegment(text) !== text;
}

/**
 * Refuses a place that belongs to another name; what nobody has written down yet is free.
 *
 * @throws {Error} When it does, or a name can't be read.
 */
export function compareNames(names: readonly NamedPath[]): void {
  for (const { path, file, text } of names) {
    const owner = nameIn(file);
    if (owner === undefined || owner === text) continue;
    throw new Error(
      `${path} is the place of ${JSON.stringify(owner)} and can't be that of ` +
        `${JSON.stringify(text)} too; use another name`,
    );
  }
}

/**
 * Writes down the names that nobody has yet, and refuses a place that belongs to another one. To be
 * called before a store is made.
 *
 * @param mode The mode of the files; folders that are made get the one that goes with it.
 * @throws {Error} When a place belongs to another name.
 */
export async function claimNames(names: readonly NamedPath[], mode: number): Promise<void> {
  for (const name of names) {
    const end = now() + WRITING;
    while (!claim(name, mode, now() > end)) await delay(PAUSE);
  }
  compareNames(names);
}

/** Both: where a store is there already it is only compared, as it may be open to readers only. */
export async function holdNames(
  names: readonly NamedPath[],
  path: string,
  mode: number,
): Promise<void> {
  compareNames(names);
  if (names.length > 0 && isAbsent(path)) await claimNames(names, mode);
}

/** Whether a name has been written down, whoever did it. */
function claim({ file, text }: NamedPath, mode: number, isAbandoned: boolean): boolean {
  if (nameIn(file) !== undefined) return true;
  try {
    makeFolderSync(dirname(file), folderMode(mode));
    // Of a process that has ended while it wrote: others need no more than a moment.
    if (isAbandoned && !isAbsent(file)) removeSync(file);
    writeFileSync(file, encoder.encode(`${JSON.stringify(text)}\n`), { createNew: true, mode });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * The part of a dbname that the last part of a path stands for, without the ending that an engine's
 * files have; `undefined` when nothing tells.
 */
export function partAt(path: string): string | undefined {
  const segment = basename(path);
  if (encodeSegment(segment) === segment) return segment;
  const text = nameIn(`${path}.name`);
  return text !== undefined && encodeSegment(text) === segment ? text : undefined;
}

/** The name in a file; `undefined` when none has been written down, or not yet. */
function nameIn(file: string): string | undefined {
  try {
    if (!lstatSync(file).isFile) throw new Error(`${file} is not a file; move it away`);
    const name: unknown = JSON.parse(decoder.decode(readFileSync(file)));
    return typeof name === "string" ? name : undefined;
  } catch (error) {
    if (isNotFound(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
