/**
 * A local stand-in for the functions of `jsr:@std/fs` that this repository uses, for machines that
 * cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */

/** Makes the folder and those above it; a folder that is there is fine, a file is an error. */
export async function ensureDir(dir: string | URL): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
}

/** As {@linkcode ensureDir}, without a promise. */
export function ensureDirSync(dir: string | URL): void {
  Deno.mkdirSync(dir, { recursive: true });
}
