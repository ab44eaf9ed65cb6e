import { seededRandom } from "./statistics.ts";

/** Data as programs cache it: text, a number, a list of numbers, records in records. */
export interface GeneratedData {
  /** English-like text, about three tenths of the size. */
  text: string;
  /** A number with decimals. */
  number: number;
  /** Numbers, about three tenths of the size. */
  list: number[];
  /**
   * Records that hold a string, a number, a boolean, a list and an object; the rest of the size.
   */
  nested: Record<string, GeneratedRecord>;
}

/** One record of generated data. */
export interface GeneratedRecord {
  /** Sixteen hexadecimal digits. */
  id: string;
  /** A number with decimals. */
  score: number;
  /** Whether it is so. */
  active: boolean;
  /** A few words. */
  tags: string[];
  /** Who made it, and when. */
  origin: {
    /** A word. */
    author: string;
    /** A date, ISO 8601. */
    created: string;
  };
}

const WORDS =
  ("the of and in value is key for that as engine with on this by are from data or store " +
    "cache which be time entry at one disk result have not byte read write other more than two into when " +
    "compress process between through each number string object memory network length").split(" ");

/**
 * Data whose JSON is `size` bytes long, give or take a tenth from 200 bytes on: the same for the
 * same size and seed.
 */
export function generateData(size: number, seed = 1): GeneratedData {
  const random = seededRandom(seed);
  const word = () => WORDS[Math.floor(random() * WORDS.length)];
  const data: GeneratedData = { text: "", number: round(random() * 1e6), list: [], nested: {} };
  let left = size - length(data);
  const textEnd = left - 0.3 * size;
  const listEnd = left - 0.6 * size;
  const words: string[] = [];
  while (left > textEnd) {
    words.push(word());
    left -= words[words.length - 1].length + 1;
  }
  data.text = words.join(" ");
  while (left > listEnd) {
    data.list.push(round(random() * 1e4));
    left -= length(data.list[data.list.length - 1]) + 1;
  }
  for (let i = 0; left > 100; i++) {
    const record: GeneratedRecord = {
      id: Array.from({ length: 16 }, () => Math.floor(random() * 16).toString(16)).join(""),
      score: round(random() * 100),
      active: random() < 0.5,
      tags: Array.from({ length: 1 + Math.floor(random() * 4) }, word),
      origin: {
        author: word(),
        created: new Date(1.6e12 + Math.floor(random() * 1e11)).toISOString(),
      },
    };
    data.nested[`record_${i}`] = record;
    left -= length(record) + length(`record_${i}`) + 2;
  }
  while (left > 4) {
    const more = word();
    data.text += ` ${more}`;
    left -= more.length + 1;
  }
  // As the response of a service is. V8 keeps an object that got its names one by one in another way
  // than a parsed one, by what it has seen before, and takes two to three times as long to write it.
  return JSON.parse(JSON.stringify(data));
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

function length(value: unknown): number {
  return JSON.stringify(value).length;
}
