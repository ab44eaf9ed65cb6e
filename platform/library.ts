import type { Awaitable } from "./awaitable.ts";

/**
 * A function that gives a module around a third-party library: a promise the first time, then the
 * module itself.
 *
 * The module's address is computed, so that a program downloads only the libraries that it uses: a
 * literal `import()` would bring them into every program's graph.
 *
 * @param what The library as in messages.
 * @param address The module, as `sourceOf` takes it.
 */
export function loadLibrary<T>(what: string, address: URL): () => Awaitable<T> {
  let library: T | Promise<T> | undefined;
  return () =>
    library ??= load<T>(what, address).then(
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

async function load<T>(what: string, address: URL): Promise<T> {
  try {
    return await import(sourceOf(address));
  } catch (cause) {
    throw new LibraryError(
      `Cannot load the ${what} library: it is fetched at its first use, which a bundled or compiled ` +
        "program and one without the network can't do, and needs --allow-read where it is on disk",
      { cause },
    );
  }
}
