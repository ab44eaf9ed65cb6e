/** Runs the acceptance cases on one engine; their numbers are those of the cases. */
import type { HashStashOptions } from "../../../mod.ts";
import { type EngineName, type Setup, TestBed } from "../../support/bed.ts";
import { ISOLATION } from "./isolation.ts";
import { KEYS } from "./keys.ts";
import { MAPPING } from "./mapping.ts";
import { OPTIONS } from "./options.ts";
import { VALUES } from "./values.ts";
import { VERSIONS } from "./versions.ts";

/** What a case gets: stashes with the codec that it is run with. */
export type Bed = Pick<TestBed, "engine" | "root" | "options" | "stash">;

/** An acceptance case: its name begins with its number. */
export type Behaviour = readonly [name: string, run: (bed: Bed) => Promise<void>];

const CODECS: readonly HashStashOptions[] = [
  { compress: false, b64: false },
  { compress: true, b64: false },
  { compress: false, b64: true },
  { compress: true, b64: true },
];

/**
 * Registers the cases for an engine: those of mapping, keys, values and options with each codec, or
 * all with the given options only. `setup` is what the engine needs, where that is not made here.
 */
export function behaviours(
  engine: EngineName,
  given?: HashStashOptions,
  setup?: Setup,
): void {
  let testBed: TestBed;
  Deno.test.beforeAll(async () => {
    testBed = await TestBed.create(engine, setup);
  });
  Deno.test.afterAll(() => testBed[Symbol.asyncDispose]());

  const register = (cases: readonly Behaviour[], codec: HashStashOptions, label: string) => {
    for (const [name, run] of cases) {
      Deno.test({
        name: `${engine}${label} ${name}`,
        sanitizeOps: true,
        sanitizeResources: true,
        fn: () =>
          run({
            engine,
            root: testBed.root,
            options: (overrides) => testBed.options({ ...codec, ...overrides }),
            stash: (overrides) => testBed.stash({ ...codec, ...overrides }),
          }),
      });
    }
  };
  if (given !== undefined) {
    const all = [...MAPPING, ...KEYS, ...VALUES, ...OPTIONS, ...VERSIONS, ...ISOLATION];
    return register(all, given, ` with ${Object.keys(given)}`);
  }
  for (const codec of CODECS) {
    const label = `${codec.compress ? " zstd" : ""}${codec.b64 ? " base64" : ""}`;
    register([...MAPPING, ...KEYS, ...VALUES, ...OPTIONS], codec, label);
  }
  register([...VERSIONS, ...ISOLATION], {}, "");
}
