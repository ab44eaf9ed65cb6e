/**
 * One of several processes that store, read and invalidate at random: it prints what it did, a line
 * of JSON each, so that it is known of one that was killed. It works until its input ends.
 */
import { computation, HashStash } from "../../mod.ts";
import type { Act, Made, Subject } from "../soak/freshness.ts";
import { machineClock } from "./machine_clock.ts";
import { RandomValues } from "./random.ts";

const [options, by, seed] = JSON.parse(Deno.args[0]);
const random = new RandomValues(seed + by);
const clock = machineClock();
const KEYS = ["a:1", "a:2", "b:1", "b:2"];
const TAGS = ["r", "s", "t"];
/** Calls under way at once. */
const LOOPS = 3;
/** After so long, ms, the lease of who was killed lapses. */
const LEASE = 300;

let count = 0;
let isEnding = false;

/** A value of the source as it is now. */
function make(kind: Made["kind"], store: string, key: string, tags: string[]): Made {
  return { id: `${by}/${++count}`, by, kind, at: clock.after(), store, key, tags };
}

function someTags(): string[] {
  return TAGS.filter(() => random.below(3) === 0);
}

/** How the tags of a run become known: before it, inside it, only by what it makes. */
type Way = "options" | "computation" | "result";

/** A run: it reads the source when it begins. */
async function runOf(store: string, key: string, way: Way, tags: string[]): Promise<Made> {
  const made = make("run", store, key, tags);
  await new Promise((resolve) => setTimeout(resolve, random.below(15)));
  if (way === "computation") computation()!.options({ tags });
  return made;
}

await using stash = new HashStash<string, Made>(options);
const f = stash.stashedResult(
  (key: string) => runOf("f", key, "result", someTags()),
  { name: "f", tags: ({ tags }) => tags, lease: LEASE },
);
await stash.open();
console.log("ready");
const ending = Deno.stdin.read(new Uint8Array(1)).then(() => isEnding = true);
await Promise.all(Array.from({ length: LOOPS }, work));
await ending;

async function work(): Promise<void> {
  while (!isEnding) {
    const called = clock.before();
    const done = await act();
    console.log(JSON.stringify({ called, returned: clock.after(), ...done }));
  }
}

/** What is left of an act without its times. */
type Done<A = Act> = A extends Act ? Omit<A, "called" | "returned"> : never;

async function act(): Promise<Done> {
  const key = random.pick(KEYS);
  const read = (way: string, value: Made | undefined): Done => {
    return { kind: "read", way, value: value ?? null };
  };
  const remove = (...about: Subject[]): Done => ({ kind: "remove", about });
  switch (random.below(16)) {
    case 0:
    case 1: {
      const tags = someTags();
      const made = make("set", "stash", key, tags);
      await stash.set(key, made, { tags, ttl: random.pick([undefined, 50]) });
      return { kind: "set", id: made.id };
    }
    case 2:
    case 3:
    case 4:
    case 5: {
      const way = random.pick<Way>(["options", "computation", "result"]);
      const tags = someTags();
      const made = await stash.getOrSet(key, () => runOf("stash", key, way, tags), {
        lease: LEASE,
        tags: way === "options" ? tags : way === "result" ? (made) => made.tags : undefined,
        ...random.pick([{}, { ttl: 20, staleWhileRevalidate: 50 }]),
      });
      return read(`getOrSet ${way}`, made);
    }
    case 6:
    case 7:
    case 8:
      return read("stashedResult", await f(key));
    case 9:
    case 10:
      return read("get", await stash.get(key));
    case 11:
      return read("peek", await f.peek(key));
    case 12:
      if (random.below(2) === 0) {
        await stash.delete(key);
        return remove({ store: "stash", key });
      }
      await f.forget(key);
      return remove({ store: "f", key });
    case 13: {
      const tags = random.pick([TAGS.slice(0, 2), [random.pick(TAGS)], [random.pick(TAGS)]]);
      await stash.invalidate({ tags });
      return remove(...tags.map((tag) => ({ tag })));
    }
    case 14: {
      const prefix = random.pick(["a:", "b:"]);
      await stash.invalidate({ prefix });
      return remove({ store: "stash", prefix });
    }
    default:
      await random.pick([
        () => stash.size(),
        () => stash.has(key),
        () => Array.fromAsync(stash.keys()),
        () => Array.fromAsync(f.stash.keys({ tag: random.pick(TAGS) })),
      ])();
      return { kind: "list" };
  }
}
