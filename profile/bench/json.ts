/**
 * What it costs that JSON text is exact, by the kind of value: the text as a stash keeps it, beside
 * `JSON.stringify`, which drops and converts without a word. Lowest tenths in turns.
 *
 *     deno run -A profile/bench/json.ts
 */
import { Codec } from "../../codec/codec.ts";
import { generateData } from "../data.ts";
import { seededRandom } from "../statistics.ts";
import { compare } from "./turns.ts";

const codec = new Codec();
const random = seededRandom(1);

const numbers = (count: number) => Array.from({ length: count }, random);

const record = (i: number) => ({
  id: `id-${i}`,
  score: random(),
  active: true,
  tags: ["first", "second"],
  origin: { author: "somebody" },
});

/** An object that gets its names one by one. */
function build<T>(count: number, name: (i: number) => string, part: (i: number) => T) {
  const object: Record<string, T> = {};
  for (let i = 0; i < count; i++) object[name(i)] = part(i);
  return object;
}

const VALUES: Record<string, unknown> = {
  "a response of 1 KB": generateData(1_000),
  "a response of 10 KB": generateData(10_000),
  "a response of 100 KB": generateData(100_000),
  "a text of 10 KB": "a word and another ".repeat(526),
  "a vector of 1,536 numbers": numbers(1_536),
  "100 small records": Array.from({ length: 100 }, (_, i) => record(i)),
  "500 small records by id": build(500, (i) => String(1_000 + i), record),
  "30 vectors by name": build(30, (i) => `document ${i}`, () => numbers(384)),
  "statistics, built": { words: build(50, (i) => `word${i}`, (i) => i), lengths: numbers(1_000) },
};

console.log(`${"".padEnd(40)}stringify       stash`);
for (const [name, value] of Object.entries(VALUES)) {
  await compare(name, [() => JSON.stringify(value), () => codec.encodeText(value)], {
    rounds: 61,
    ms: 4,
  });
}
