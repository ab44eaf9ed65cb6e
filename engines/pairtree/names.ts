/**
 * Keys as file names. A name tells its key, so that keys are listed without reading files, and
 * proves itself by a checksum of it, so that no file of anyone else's passes for an entry:
 *
 * - `my_key` → `my_key~<hash of the stem>`; a capital letter becomes `+` and the small one, what no
 *   name may
 *   hold or some file systems would change becomes `%` and the hex of its UTF-8 bytes
 * - a key too long for a name → `<readable beginning>~<SHA-256>~<hash>`; the key is in the file
 *
 * The entry lies in the folder named after the first two digits of the hash.
 */
import { hash as sha256 } from "../../codec/hash.ts";

/** File systems take 255 bytes, encrypted ones 143, and Windows 260 for the whole path. */
const MAX_STEM = 120;
const SAFE = /^[a-z0-9_-]*$/;
const UNSAFE = /[^a-z0-9_-]/gu;
const ESCAPED = /\+([a-z])|(?:%[0-9a-f]{2})+/g;
const NAME = /^([a-z0-9_+%-]*)(~[0-9a-f]{64})?~([0-9a-f]{8})$/;

/** Where a key's entry lies in its store. */
export interface Place {
  /** The name of the folder. */
  readonly folder: string;
  /** The name of the file in it. */
  readonly name: string;
}

/** The place of a key. */
export function placeOf(key: string): Place {
  let stem = stemOf(key);
  if (stem.length > MAX_STEM) {
    const readable = key.slice(0, 40).toLowerCase().replace(/[^a-z0-9_-]+/g, "_");
    stem = `${readable}~${sha256(key)}`;
  }
  const hash = hashOf(stem);
  return { folder: hash.slice(0, 2), name: `${stem}~${hash}` };
}

/**
 * The key of a file with this name in this folder; `null` when it is in the file alone; `undefined`
 * when the name is not one that a key has.
 */
export function keyAt(folder: string, name: string): string | null | undefined {
  return folder === folderOf(name) ? keyOf(name) : undefined;
}

/** The folder where an entry of this name belongs; `undefined` when it is not the name of an entry. */
export function folderOf(name: string): string | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const [, , , hash] = match;
  return hashOf(name.slice(0, -9)) === hash ? hash.slice(0, 2) : undefined;
}

function keyOf(name: string): string | null | undefined {
  const stem = name.slice(0, -9);
  if (stem.includes("~")) return null;
  if (stem.length > MAX_STEM) return undefined;
  if (SAFE.test(stem)) return stem;
  try {
    const key = stem.replace(ESCAPED, (sequence, capital: string | undefined) => {
      return capital === undefined ? decodeURIComponent(sequence) : capital.toUpperCase();
    });
    // A key has one name: under another it would be listed, and never be found.
    return stemOf(key) === stem ? key : undefined;
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

function stemOf(key: string): string {
  return SAFE.test(key) ? key : key.replace(UNSAFE, escape);
}

function escape(character: string): string {
  if (character >= "A" && character <= "Z") return `+${character.toLowerCase()}`;
  const code = character.charCodeAt(0);
  if (code < 0x80) return `%${code.toString(16).padStart(2, "0")}`;
  return encodeURIComponent(character).toLowerCase();
}

/**
 * FNV-1a with a last mixing, so that keys that differ in their end alone spread over the folders
 * too.
 */
function hashOf(stem: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < stem.length; i++) hash = Math.imul(hash ^ stem.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  hash ^= hash >>> 13;
  return (hash >>> 0).toString(16).padStart(8, "0");
}
