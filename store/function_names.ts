/**
 * The names of the stores of functions' results, the last part of their dbnames: made and read here
 * alone.
 *
 *     slow~3f2a9c01de      a function "slow", and the first digits of the hash of its source
 *     slow~3f2a9c01de@2    its version 2
 *     slow, slow@2         a function that was given the name "slow", whatever its source is
 *
 * Names and versions have `%` and hex digits in the place of what has a meaning here.
 */
const PARTS = /^([^~@/]+)(?:~([0-9a-f]{10}))?(?:@([^~@/]*))?$/;

/** How many digits of the hash of a source stand in a name. */
const DIGITS = 10;

/** What the name of a function's store says. */
export interface FunctionName {
  /** The function's name, as it stands there. */
  readonly name: string;
  /** The first digits of the hash of its source; absent when a name was given. */
  readonly source?: string;
  /** Its version, as it stands there. */
  readonly version?: string;
}

/**
 * Makes the name of a function's store.
 *
 * @param name The function's own name, or the one it was given.
 * @param source The hash of its source, unless a name was given.
 */
export function makeFunctionName(
  name: string,
  source: string | undefined,
  version: string | number | undefined,
): string {
  return escape(name) + (source === undefined ? "" : `~${source.slice(0, DIGITS)}`) +
    (version === undefined ? "" : `@${escape(String(version))}`);
}

/**
 * Reads the name of a store; `undefined` when no function's has it. It may be that of any other store
 * too: `RESERVED_DBNAMES.function` tells these apart.
 */
export function parseFunctionName(segment: string): FunctionName | undefined {
  const [, name, source, version] = PARTS.exec(segment) ?? [];
  return name === undefined ? undefined : { name, source, version };
}

/** One part of a dbname; `@` and `~` are ours, and what begins with a dot is the stash's own. */
function escape(text: string): string {
  const code = (character: string) => `%${character.codePointAt(0)!.toString(16).padStart(2, "0")}`;
  return text.toWellFormed().replace(/^\.|[%@~/\p{Cc}\ufffd]/gu, code);
}
