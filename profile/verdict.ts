import { formatPercent, formatSize, formatTime } from "./format.ts";
import type { Best, Candidate } from "./best.ts";
import { codecName, hasSerializers } from "./row.ts";

/** A difference below this is of no use to anybody, however sure. */
export const LEAST_FACTOR = 1.05;

/** The recommendation in words: what, by how much, how sure. */
export function verdictOf(best: Omit<Best, "verdict">): string {
  const named = hasSerializers(best.ranking);
  const codec = codecName(best, named);
  const what = best.goal === "read" || best.goal === "write" ? `${best.goal}s` : best.goal;
  const { nextEngine, nextCodec } = best;
  const sizes = best.sizes.map(formatSize).join(", ");
  // The engines store the same bytes.
  const onlySize = Number.isNaN(best.time);
  const texts = [
    `Best for ${what} of ${sizes}: ` +
    (onlySize
      ? `${codec}, ${best.ratio.toFixed(2)} of the JSON, on any engine`
      : `${best.engine} with ${codec}, ${formatTime(best.time)}`),
  ];
  if (nextEngine && !onlySize) {
    const name = `${nextEngine.engine} with ${codecName(nextEngine, named)}`;
    texts.push(`The next engine, ${name}, ${behind(nextEngine)}`);
  }
  if (nextCodec) {
    texts.push(`The next codec, ${codecName(nextCodec, named)}, ${behind(nextCodec)}`);
  }
  return `${texts.join(". ")}.`;
}

function behind({ factor, confidence, sure }: Candidate): string {
  if (factor === 1) return "is as good";
  const cost = `costs ${factor.toFixed(2)} times as much`;
  if (factor < LEAST_FACTOR) return `${cost}: no difference that counts`;
  return `${cost} (${sure ? "" : "only "}${formatPercent(confidence)} sure)`;
}
