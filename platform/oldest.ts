/**
 * Says which Deno is needed, on older ones, where something else would fail later and less clearly.
 * Also for its effect: it is imported before everything else.
 */

/** The oldest Deno that works: the first that has what is used everywhere. */
const OLDEST = "2.5";

/** Deno's version; `undefined` in another runtime. */
const version: string | undefined = globalThis.Deno?.version?.deno;

function isOlder(version: string, needed: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  const [neededMajor, neededMinor] = needed.split(".").map(Number);
  return major < neededMajor || (major === neededMajor && minor < neededMinor);
}

/** What is wrong where a newer Deno is needed: `"Locks of files need"`, `"2.7"`. */
export function tooOld(need: string, needed: string): Error {
  return new Error(
    `${need} Deno ${needed} or later, and this is Deno ${version}: run \`deno upgrade\``,
  );
}

if (version !== undefined && isOlder(version, OLDEST)) throw tooOld("HashStash needs", OLDEST);
