/** The contract again, through what stands around an engine. */
import { complete } from "../../engines/complete.ts";
import { engineContract } from "../../engines/contract/mod.ts";
import { Decorator } from "../../engines/decorator.ts";
import type { Store } from "../../engines/complete.ts";
import type { EngineLocation } from "../../engines/engine.ts";
import { Near } from "../../store/near.ts";
import { Writes } from "../../store/near_tier.ts";
import { isInside, partOf } from "../../store/open.ts";
import { checkOptions, RESERVED_DBNAMES } from "../../store/options.ts";
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

/** A near tier in front of a store that is made with who watches its writes. */
function near(
  make: (location: EngineLocation, writes: Writes) => Promise<Store>,
  engine: EngineName,
  isNear = true,
): Make {
  return async (location) => {
    const { name, dbname } = location;
    const place = JSON.stringify([engine, null, "", name, dbname]);
    const inner = await make(location, new Writes(place, isInside));
    const { near } = checkOptions({ near: true });
    const settings = { name, dbname, place, near: near!, report: () => {} };
    return isNear ? new Near(inner, { ...settings, keepsAbsence: true }) : inner;
  };
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
  const watched = async (location: EngineLocation, writes: Writes) =>
    complete(await makeEngine(bed.place, location), { writes });
  const watchedPart = async ({ name, dbname }: EngineLocation, writes: Writes) =>
    partOf(await shared(), name, dbname, { writes });
  let handles = 0;
  const versions = once(() => appending(whole, { name: "versions", dbname: "main" }));

  const kinds: Record<string, Make> = {
    "decorators around": async (location) => new Plain(complete(new Plain(await whole(location)))),
    "a part of": part,
    "versions in": (location) => appending(whole, location),
    "versions in a part of": (location) => appending(part, location),
    near: near(watched, engine),
    "near in a part of": near(watchedPart, engine),
    // Each second handle has none.
    "some near": (location) => near(watched, engine, ++handles % 2 === 0)(location),
    "versions, near": (location) => appending(near(watched, engine), location),
    "a part of versions in": async ({ name, dbname }) => partOf(await versions(), name, dbname),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    for (const { name, fn } of engineContract({ create: (location) => make(location) })) {
      const test = `${kind} ${engine} ${name}`;
      Deno.test({ name: test, fn, sanitizeOps: true, sanitizeResources: true });
    }
  }
}
