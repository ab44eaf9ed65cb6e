import type { Awaitable } from "./awaitable.ts";
import { deno } from "./runtime.ts";

/**
 * A function that gives a third-party library, or a module around one: a promise the first time,
 * then the module itself.
 *
 * Its address is computed, so that a program downloads only the libraries that it uses: a literal
 * `import()` would bring them into every program's graph.
 *
 * @param what The library as in messages.
 * @param source The npm package; or the module around it, as `sourceOf` takes it.
 */
export function loadLibrary<T>(what: string, source: NpmPackage | URL): () => Awaitable<T> {
  let library: T | Promise<T> | undefined;
  return () =>
    library ??= load<T>(what, source).then(
      (loaded) => library = loaded,
      (error) => {
        library = undefined;
        throw error;
      },
    );
}

/**
 * The URL of one of our modules.
 *
 * @param address Its URL without the extension, which is this file's: `.ts` as published here,
 * `.js` after a build.
 */
export function sourceOf(address: URL): string {
  return address.href + import.meta.url.slice(import.meta.url.lastIndexOf("."));
}

/** A library could not be loaded. */
export class LibraryError extends Error {
  /** `"LibraryError"`. */
  override readonly name = "LibraryError";
}

async function load<T>(what: string, source: NpmPackage | URL): Promise<T> {
  try {
    return await import(source instanceof URL ? sourceOf(source) : specifierOf(source));
  } catch (cause) {
    const how = deno
      ? "it is fetched at its first use, which a bundled or compiled program and one without the " +
        "network can't do, and needs --allow-read where it is on disk"
      : source instanceof URL
      ? "what it needs is there on Deno alone"
      : `install it, "npm install ${source.name}@${source.versions}"`;
    throw new LibraryError(`Cannot load the ${what} library: ${how}`, { cause });
  }
}

/** A package of npm. */
export interface NpmPackage {
  /** `"pg"`. */
  readonly name: string;
  /** Which versions will do: `"^8.0.0"`. */
  readonly versions: string;
  /** A part of it: `"/pack"`. */
  readonly path?: string;
}

/**
 * How a package is imported. Deno fetches it; in Node and Bun it is there when the program's author
 * has installed it: packages that few programs need are no dependencies of this one.
 */
export function specifierOf({ name, versions, path = "" }: NpmPackage): string {
  return deno ? `npm:${name}@${versions}${path}` : `${name}${path}`;
}
