import { Buffer } from "node:buffer";
import type { EngineLocation } from "../engine.ts";

/** The Redis keys of one store: `name:dbname:key`. */
export class RedisNames {
  /** What they all begin with. */
  readonly prefix: string;
  /** The pattern of the Redis keys of the stores nested in this one. */
  readonly nested: string;

  constructor({ name, dbname }: EngineLocation) {
    const store = `${segment(name)}:${segment(dbname)}`;
    this.prefix = `${store}:`;
    this.nested = `${literally(store)}/*:*`;
  }

  /** The Redis key of a key. */
  of(key: string): string {
    return this.prefix + key;
  }

  /** The key in a Redis key; `undefined` when that is not UTF-8, and so of another program. */
  keyOf(name: Buffer): string | undefined {
    const text = name.toString();
    const isText = !text.includes("\ufffd") || name.equals(Buffer.from(text));
    return isText ? text.slice(this.prefix.length) : undefined;
  }

  /** The pattern of the Redis keys whose keys begin with this. */
  pattern(prefix = ""): string {
    return `${literally(this.prefix + prefix)}*`;
  }
}

/** A part of a Redis key, which ends where the next ":" stands. */
function segment(name: string): string {
  return name.replace(/[%:]/g, encodeURIComponent);
}

/** A pattern that matches the text and nothing else. */
function literally(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}
