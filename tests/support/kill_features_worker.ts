/**
 * The process that is killed at a system call: goes through the steps of a round and says on
 * standard output, a line for each, how many have been acknowledged to it. Its argument:
 * `[options, round]` as JSON.
 */
import { Features, featureSteps } from "./kill_features.ts";

const [options, round] = JSON.parse(Deno.args[0]);
const encoder = new TextEncoder();
await using features = new Features(options);
for (const [index, step] of featureSteps(round).entries()) {
  await step.run(features);
  Deno.stdout.writeSync(encoder.encode(`${index + 1}\n`));
}
