import { basename, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

/** What {@linkcode walk} yields: a folder's entry and the path to it, which begins with the root. */
export interface WalkEntry extends Deno.DirEntry {
  path: string;
}

/** What {@linkcode walk} yields, and how far it goes. */
export interface WalkOptions {
  /** How many levels below the root; 0 is the root alone. By default all. */
  maxDepth?: number;
  /** Whether files are yielded. By default they are. */
  includeFiles?: boolean;
  /** Whether folders are yielded, the root too. By default they are. */
  includeDirs?: boolean;
  /** Whether symbolic links, which are not followed, are yielded. By default they are. */
  includeSymlinks?: boolean;
  /** Yield only paths with one of these ends, with or without the dot. */
  exts?: string[];
  /** Yield only paths that one of these matches. */
  match?: RegExp[];
  /** Neither yield nor enter paths that one of these matches. */
  skip?: RegExp[];
}

/** The options without gaps. */
interface Rules {
  maxDepth: number;
  wants(path: string, kind: Deno.DirEntry): boolean;
  skips(path: string): boolean;
}

function rulesOf(options: WalkOptions): Rules {
  const { includeFiles = true, includeDirs = true, includeSymlinks = true } = options;
  const ends = options.exts?.map((end) => end.startsWith(".") ? end : `.${end}`);
  const matches = (patterns: RegExp[], path: string) =>
    patterns.some((one) => path.search(one) >= 0);
  return {
    maxDepth: options.maxDepth ?? Infinity,
    skips: (path) => matches(options.skip ?? [], path),
    wants(path, { isDirectory, isSymlink }) {
      if (isSymlink ? !includeSymlinks : isDirectory ? !includeDirs : !includeFiles) return false;
      if (ends !== undefined && !ends.some((end) => path.endsWith(end))) return false;
      return options.match === undefined || matches(options.match, path);
    },
  };
}

function rootEntry(root: string | URL): WalkEntry {
  const path = normalize(typeof root === "string" ? root : fileURLToPath(root));
  const { isFile, isDirectory, isSymlink } = Deno.statSync(path);
  return { path, name: basename(path), isFile, isDirectory, isSymlink };
}

/**
 * Yields the root and everything below it, a folder before what it holds, in the system's order.
 *
 * @throws {Deno.errors.NotFound} if there is no root
 */
export async function* walk(
  root: string | URL,
  options: WalkOptions = {},
): AsyncIterableIterator<WalkEntry> {
  const rules = rulesOf(options);
  yield* walkBelow(rootEntry(root), rules, rules.maxDepth);
}

async function* walkBelow(
  entry: WalkEntry,
  rules: Rules,
  levels: number,
): AsyncGenerator<WalkEntry, void, void> {
  if (levels < 0 || rules.skips(entry.path)) return;
  if (rules.wants(entry.path, entry)) yield entry;
  if (!entry.isDirectory || levels === 0) return;
  for await (const child of Deno.readDir(entry.path)) {
    yield* walkBelow({ path: join(entry.path, child.name), ...child }, rules, levels - 1);
  }
}

/** {@linkcode walk}, synchronously. */
export function* walkSync(
  root: string | URL,
  options: WalkOptions = {},
): IterableIterator<WalkEntry> {
  const rules = rulesOf(options);
  yield* walkBelowSync(rootEntry(root), rules, rules.maxDepth);
}

function* walkBelowSync(
  entry: WalkEntry,
  rules: Rules,
  levels: number,
): Generator<WalkEntry, void, void> {
  if (levels < 0 || rules.skips(entry.path)) return;
  if (rules.wants(entry.path, entry)) yield entry;
  if (!entry.isDirectory || levels === 0) return;
  for (const child of Deno.readDirSync(entry.path)) {
    yield* walkBelowSync({ path: join(entry.path, child.name), ...child }, rules, levels - 1);
  }
}
