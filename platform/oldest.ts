/**
 * Says which Deno is needed, on older ones, where something else would fail later and less clearly.
 * For its effect: it is imported before everything else.
 */

/** The oldest Deno that works: the first that can try to lock a file. */
const OLDEST = "2.7";

const isOlder = (version: string) => {
  const [major, minor] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST.split(".").map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
};

const version = globalThis.Deno?.version?.deno;
if (version !== undefined && isOlder(version)) {
  throw new Error(
    `HashStash needs Deno ${OLDEST} or later, and this is Deno ${version}: run \`deno upgrade\``,
  );
}
