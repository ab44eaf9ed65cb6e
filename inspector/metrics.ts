/** Counts for Prometheus, in its text format. */
import type { HashStash } from "../mod.ts";
import type { Counted, Fullness } from "./inspected.ts";

/** Limits, and what they are about. */
const LIMITS = [["maxEntries", "entries"], ["maxBytes", "bytes"]] as const;

/** What each counter of a stash counts. */
const COUNTERS: Record<string, string> = {
  hits: "Reads that found a value.",
  misses: "Reads that found none.",
  sets: "Values stored.",
  deletes: "Keys removed.",
  evictions: "Entries dropped to keep within limits.",
  nearHits: "Reads that were answered from this process's memory.",
};

/** The text that Prometheus reads. */
export function metricsText(
  stash: HashStash,
  { stores, at, ms }: Counted,
  fullness: Fullness | undefined,
): string {
  const { engine, name, dbname } = stash;
  const own = labels({ engine, name, dbname });
  const lines: string[] = [];
  const metric = (name: string, type: "counter" | "gauge", help: string, samples: string[]) => {
    if (samples.length === 0) return;
    const full = `hashstash_${name}`;
    lines.push(`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`);
    lines.push(...samples.map((sample) => full + sample));
  };
  for (const [counter, value] of Object.entries(stash.stats())) {
    if (typeof value !== "number") continue;
    const snake = counter.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const help = COUNTERS[counter] ?? counter;
    metric(`${snake}_total`, "counter", `${help} By the handle that is inspected.`, [
      `${own} ${value}`,
    ]);
  }
  for (const [limit, name] of LIMITS) {
    const most = fullness?.[limit];
    if (fullness === undefined || most === undefined || most === Infinity) continue;
    const used = fullness[name] ?? 0;
    metric(`limited_${name}`, "gauge", `The ${name} that ${limit} is about, by usage().`, [
      `${own} ${used}`,
    ]);
    metric(`limit_${name}`, "gauge", `The option ${limit}.`, [`${own} ${most}`]);
  }
  const ofStores = (value: (store: Counted["stores"][number]) => number | undefined) =>
    stores.flatMap((store) => {
      const number = value(store);
      const { dbname, kind } = store;
      return number === undefined ? [] : [`${labels({ engine, name, dbname, kind })} ${number}`];
    });
  metric("store_entries", "gauge", "Live entries of a store.", ofStores(({ entries }) => entries));
  metric(
    "store_bytes",
    "gauge",
    "Bytes of a store's keys and values as they are stored.",
    ofStores(({ bytes }) => bytes),
  );
  metric(
    "store_last_write_timestamp_seconds",
    "gauge",
    "When the latest entry of a store was set.",
    ofStores(({ lastWrite }) => lastWrite && lastWrite / 1_000),
  );
  metric("stores_counted_timestamp_seconds", "gauge", "When the stores were counted.", [
    `${own} ${at / 1_000}`,
  ]);
  metric("stores_count_duration_seconds", "gauge", "How long it took to count the stores.", [
    `${own} ${ms / 1_000}`,
  ]);
  return `${lines.join("\n")}\n`;
}

function labels(values: Record<string, string>): string {
  const escaped = (text: string) =>
    text.replace(/[\\"\n]/g, (character) => character === "\n" ? "\\n" : `\\${character}`);
  const pairs = Object.entries(values).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${pairs.join(",")}}`;
}
