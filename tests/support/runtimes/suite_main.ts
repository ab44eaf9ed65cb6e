/**
 * A program for Node and Bun: runs the contract and the behaviours on one engine, and prints what
 * came of it as JSON. Its argument: `{ engine, options, suites, filter }`.
 */
import process from "node:process";
import { behaviours } from "../../stash/behaviours/mod.ts";
import { contractTests } from "../contract.ts";
import { after, before, tests } from "./deno_shim.ts";

/** What came of a suite. */
export interface SuiteResult {
  readonly passed: number;
  readonly failed: { readonly name: string; readonly error: string }[];
}

const { engine, options, suite } = JSON.parse(process.argv[2]);
if (suite === "contract") contractTests(engine, options);
else behaviours(engine, undefined, options);
const failed: { name: string; error: string }[] = [];
for (const fn of before) await fn();
for (const { name, fn, ignore } of tests) {
  if (ignore) continue;
  try {
    await fn();
  } catch (error) {
    failed.push({ name, error: error instanceof Error ? String(error.stack) : String(error) });
  }
}
for (const fn of after) await fn();
console.log(JSON.stringify({ passed: tests.length - failed.length, failed }));
