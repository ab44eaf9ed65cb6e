/** The contract again, through what stands around an engine. */
import { assertEquals, assertRejects } from "@std/assert";
import { complete } from "../../engines/complete.ts";
import { engineContract } from "../../engines/contract/mod.ts";
import { Decorator } from "../../engines/decorator.ts";
import type { Store } from "../../engines/complete.ts";
import type { Engine, EngineLocation, Entry } from "../../engines/engine.ts";
import { memory } from "../../engines/memory/mod.ts";
import { partOf } from "../../store/open.ts";
import { RESERVED_DBNAMES } from "../../store/options.ts";
import { Versions } from "../../store/versions.ts";
import { type EngineName, makeEngine, TestBed } from "../support/bed.ts";

/** A decorator that changes nothing. */
class Plain extends Decorator {}

/** Makes the stores of one kind on an engine. */
type Make = (location: EngineLocation) => Promise<Store> | Store;

/** Append mode on stores that `make` makes; the side store is closed with the one that it is of. */
async function appending(make: Make, location: EngineLocation): Promise<Store> {
  const { name, dbname } = location;
  const side = await make({ name, dbname: `${dbname}/${RESERVED_DBNAMES.versions}` });
  let opening: Promise<void> | undefined;
  const openSide = async () => {
    await (opening ??= Promise.resolve(side.open()));
    return side;
  };
  class Appending extends Versions {
    override async close(): Promise<void> {
      if (opening !== undefined) await side.close();
      opening = undefined;
      await super.close();
    }
  }
  return new Appending(await make(location), openSide, () => JSON.stringify([name, dbname]));
}

for (const engine of ["memory", "sqlite"] as EngineName[]) {
  let bed: TestBed;
  Deno.test.beforeAll(async () => {
    bed = await TestBed.create(engine);
  });
  Deno.test.afterAll(() => bed[Symbol.asyncDispose]());

  const whole: Make = async (location) => complete(await makeEngine(bed.place, location));
  const once = <T>(make: () => Promise<T>) => {
    let made: Promise<T> | undefined;
    return () => made ??= make();
  };
  // One object for all stores, as a user gives it.
  const shared = once(() => makeEngine(bed.place, { name: "shared", dbname: "main" }));
  const part: Make = async ({ name, dbname }) => partOf(await shared(), name, dbname);
  const versions = once(() => appending(whole, { name: "versions", dbname: "main" }));

  const kinds: Record<string, Make> = {
    "a decorator around": async (location) => new Plain(await whole(location)),
    "a part of": part,
    "versions in": (location) => appending(whole, location),
    "versions in a part of": (location) => appending(part, location),
    "a part of versions in": async ({ name, dbname }) => partOf(await versions(), name, dbname),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    for (const { name, fn } of engineContract({ create: (location) => make(location) })) {
      const test = `${kind} ${engine} ${name}`;
      Deno.test({ name: test, fn, sanitizeOps: true, sanitizeResources: true });
    }
  }
}

/** Memory with guards: as it is synchronous, nothing comes between the two looks. */
function guarded(location: EngineLocation): Engine {
  const engine = memory(location);
  return new Proxy(engine, {
    get(target, name) {
      if (name === "supports") return { ...target.supports, guard: true };
      if (name === "compareAndSet") return compareAndSet;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });

  function compareAndSet(...[key, expected, next, guard]: Parameters<Engine["compareAndSet"]>) {
    const state = guard && guard.engine.get(guard.key) as Entry | undefined;
    if (guard !== undefined && state?.revision !== guard.expected.revision) return false;
    return engine.compareAndSet(key, expected, next);
  }
}

{
  const shared = guarded({ name: "guarded", dbname: "main" });
  const whole: Make = (location) => complete(guarded(location));
  const part: Make = ({ name, dbname }) => partOf(shared, name, dbname);
  const kinds: Record<string, Make> = {
    "memory": whole,
    "a completed": (location) => complete(complete(guarded(location))),
    "a decorator around": async (location) => new Plain(new Plain(await whole(location))),
    "a part of": part,
    "versions in": (location) => appending(whole, location),
    "versions in a part of": (location) => appending(part, location),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    const about = engineContract({ create: (location) => make(location) })
      .filter(({ name }) => name.includes("guard"));
    for (const { name, fn } of about) Deno.test(`guards: ${kind} memory ${name}`, fn);
  }

  Deno.test("guards: the contract notices one that is not obeyed", async () => {
    const lying: Make = (location) => {
      const engine = memory(location);
      return complete({
        ...required(engine),
        supports: { ...engine.supports, guard: true },
      });
    };
    const about = engineContract({ create: lying }).filter(({ name }) => name.includes("guard"));
    assertEquals(about.length, 1);
    await assertRejects(() => about[0].fn(), Error, "set anew");
  });
}

/** An engine's required methods. */
function required(engine: Engine): Engine {
  return {
    name: engine.name,
    path: engine.path,
    supports: engine.supports,
    open: () => engine.open(),
    close: () => engine.close(),
    get: (key) => engine.get(key),
    set: (key, entry) => engine.set(key, entry),
    delete: (key) => engine.delete(key),
    compareAndSet: (key, expected, next) => engine.compareAndSet(key, expected, next),
    keys: (prefix) => engine.keys(prefix),
    size: () => engine.size(),
    clear: (deep) => engine.clear(deep),
  };
}
