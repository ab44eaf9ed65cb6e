import { lstatSync } from "node:fs";

/** Says no when what is there is neither a folder nor a link to one. */
function mustBeFolder(dir: string | URL, info: Deno.FileInfo): void {
  if (info.isDirectory) return;
  const found = lstatSync(dir).isSymbolicLink() ? "symlink" : "file";
  throw new Error(`Failed to ensure directory exists: expected 'dir', got '${found}'`);
}

/** Makes the folder and the folders above it, unless it is there. */
export async function ensureDir(dir: string | URL): Promise<void> {
  try {
    return mustBeFolder(dir, await Deno.stat(dir));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  try {
    await Deno.mkdir(dir, { recursive: true });
  } catch (error) {
    // Somebody else made it meanwhile, or a link to nothing has its name.
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    mustBeFolder(dir, await Deno.stat(dir));
  }
}

/** {@linkcode ensureDir}, synchronously. */
export function ensureDirSync(dir: string | URL): void {
  try {
    return mustBeFolder(dir, Deno.statSync(dir));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  try {
    Deno.mkdirSync(dir, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    mustBeFolder(dir, Deno.statSync(dir));
  }
}
