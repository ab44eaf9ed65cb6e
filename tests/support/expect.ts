/** The part of Vitest that suites of other projects use, on this one's assertions. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";

/** What can be claimed of a value. */
function expectation(actual: unknown) {
  return {
    toBe: (expected: unknown) => assertStrictEquals(actual, expected),
    toEqual: (expected: unknown) => assertEquals(actual, expected),
    toBeTruthy: () => assert(actual, `${actual} is falsy`),
    toBeFalsy: () => assert(!actual, `${actual} is truthy`),
    toBeNull: () => assertStrictEquals(actual, null),
    toBeUndefined: () => assertStrictEquals(actual, undefined),
    toBeDefined: () => assert(actual !== undefined),
    not: { toBe: (expected: unknown) => assert(!Object.is(actual, expected)) },
  };
}

/** A case of a suite that was registered. */
export interface SuiteCase {
  readonly name: string;
  /** Runs it, with what was to be done before and after each of its group. */
  run(): Promise<void>;
}

type CaseFunction = (context: { expect: ReturnType<typeof counting>["expect"] }) => unknown;

/** `expect`, and whether as many claims were made as the case announced. */
function counting() {
  let announced: number | undefined;
  let made = 0;
  const expect = Object.assign((actual: unknown) => {
    made++;
    return expectation(actual);
  }, { assertions: (count: number) => void (announced = count) });
  return { expect, check: () => assertEquals(made, announced ?? made, "number of claims") };
}

/** Collects the cases that groups of a suite register: each group has hooks of its own. */
export function casesOf(
  ...groups: ((test: {
    it(name: string, fn: CaseFunction): void;
    beforeEach(fn: () => unknown): void;
    afterEach(fn: () => unknown): void;
  }) => void)[]
): SuiteCase[] {
  return groups.flatMap((group) => {
    const cases: SuiteCase[] = [];
    const before: (() => unknown)[] = [];
    const after: (() => unknown)[] = [];
    group({
      beforeEach: (fn) => before.push(fn),
      afterEach: (fn) => after.push(fn),
      it(name, fn) {
        const run = async () => {
          const { expect, check } = counting();
          for (const hook of before) await hook();
          try {
            await fn({ expect });
            check();
          } finally {
            for (const hook of after) await hook();
          }
        };
        cases.push({ name, run });
      },
    });
    return cases;
  });
}
