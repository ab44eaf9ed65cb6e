/** Entries as Redis has them: their Redis keys, their deadlines, and the scripts that change them. */
import { Buffer } from "node:buffer";
import type { EngineLocation } from "../engine.ts";

/** The Redis keys of one store: `name:dbname:key`. */
export class RedisNames {
  /** What they all begin with. */
  readonly prefix: string;
  /** The pattern of the Redis keys of the stores nested in this one. */
  readonly nested: string;
  /** The pattern of those and of its own. */
  readonly family: string;
  readonly #store: string;
  /**
   * Whether a cluster keeps the stores of this name on one server: by a hash tag in it, as in
   * `{my_cache}`.
   */
  readonly areTogether: boolean;
  readonly #name: string;

  constructor({ name, dbname }: EngineLocation) {
    this.#name = segment(name);
    const store = `${segment(name)}:${segment(dbname)}`;
    // What counts is in the first braces, unless nothing is.
    this.areTogether = /^[^{]*\{[^}]+\}/.test(segment(name));
    this.prefix = `${store}:`;
    this.nested = `${literally(store)}/*:*`;
    this.family = `${literally(store)}[:/]*`;
    this.#store = store;
  }

  /** The Redis key of a key. */
  of(key: string): string {
    return this.prefix + key;
  }

  /** The channel of the stores of this name in a database: channels are common to all databases. */
  channel(db: number): string {
    return `hashstash:${db}:${this.#name}`;
  }

  /** The key in a Redis key; `undefined` when that is not UTF-8, and so of another program. */
  keyOf(name: Buffer): string | undefined {
    const text = name.toString();
    const isText = !text.includes("\ufffd") || name.equals(Buffer.from(text));
    return isText ? text.slice(this.prefix.length) : undefined;
  }

  /**
   * Which store a Redis key of the family belongs to, by its dbname inside this one, and how many
   * bytes the key in it has; `undefined` when it is of none.
   */
  placeOf(name: Buffer): { dbname: string; length: number } | undefined {
    const start = Buffer.byteLength(this.#store);
    const end = name.indexOf(":", start);
    if (end < 0) return undefined;
    const inside = name.subarray(start + 1, Math.max(end, start + 1)).toString();
    const dbname = inside.replace(/%(25|3A)/g, decodeURIComponent);
    if (end > start && segment(dbname) !== inside) return undefined;
    return { dbname, length: name.byteLength - end - 1 };
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

/** Redis' limit for a string. */
const MAX_BYTES = 512 * 1024 * 1024;

/** The bytes of a value in the form that ioredis sends as it is. */
export function toRedisValue({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  if (byteLength > MAX_BYTES) {
    throw new Error(`a value of ${byteLength} bytes is too large: Redis takes ${MAX_BYTES}`);
  }
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** What `PEXPIRETIME` and `PTTL` say of a key without a deadline. */
const FOREVER = -1;
/** What they say of a key that is not there. */
export const ABSENT = -2;

/**
 * The command that tells a deadline: as a point in time, which Redis does since 7.0, or as the time
 * that is left.
 */
export type DeadlineCommand = "pexpiretime" | "pttl";

/** A deadline as `SET` takes it: a point in time, or the time that is left. */
export type RedisDeadline = ["PXAT" | "PX", number];

/**
 * A deadline for `SET`. Redis keeps a key for the whole millisecond of its deadline, and an entry is
 * gone in that millisecond: so Redis is told the one before.
 *
 * @param agree Whether the server's clock shows the same time as ours.
 */
export function toRedisDeadline(expiresAt: number, agree: boolean): RedisDeadline {
  const last = Math.min(Math.ceil(expiresAt) - 1, Number.MAX_SAFE_INTEGER);
  const left = last - Date.now();
  if (left < 0) return ["PXAT", 1];
  return agree ? ["PXAT", last] : ["PX", Math.max(1, left)];
}

/** An entry's deadline, from what the command tells; exact only when it tells a point in time. */
export function fromRedisDeadline(command: DeadlineCommand, time: number): number | undefined {
  if (time === FOREVER) return undefined;
  return command === "pexpiretime" ? time + 1 : Date.now() + time;
}

// The scripts are sent whole each time: as short as they are, that costs a microsecond, and asking
// first whether the server still has them costs a round trip now and then.

/**
 * KEYS: the Redis key. ARGV: the expected deadline as `PEXPIRETIME` tells it, `""` for no entry,
 * `"any"` for any; the expected value; then what comes in its place: nothing at all, or the value and,
 * if it has one, its deadline as `SET` takes it.
 */
export const COMPARE_AND_SET = `
local value = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  if value then return 0 end
elseif value ~= ARGV[2] then
  return 0
elseif ARGV[1] ~= 'any' and redis.call('PEXPIRETIME', KEYS[1]) ~= tonumber(ARGV[1]) then
  return 0
end
if #ARGV == 2 then
  redis.call('UNLINK', KEYS[1])
elseif #ARGV == 3 then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], ARGV[4], ARGV[5])
end
return 1`;

/**
 * The same, while another entry is in its state. KEYS: the Redis key, that of the guard. ARGV: the
 * guard's deadline and value, as those that are expected; then as above.
 */
export const GUARDED_COMPARE_AND_SET = `
if redis.pcall('GET', KEYS[2]) ~= ARGV[2] then return 0 end
if ARGV[1] ~= 'any' and redis.call('PEXPIRETIME', KEYS[2]) ~= tonumber(ARGV[1]) then return 0 end
local ARGV = {unpack(ARGV, 3)}
${COMPARE_AND_SET}`;

/**
 * KEYS: many Redis keys. ARGV: of each the state that is expected: its deadline, as above, and its
 * value. Removes those that are in it, and answers with a digit for each: 1 where it did.
 */
export const DELETE_UNCHANGED = `
local told = {}
for i, key in ipairs(KEYS) do
  local deadline, value = ARGV[2 * i - 1], ARGV[2 * i]
  told[i] = '0'
  if redis.pcall('GET', key) == value and
    (deadline == 'any' or redis.call('PEXPIRETIME', key) == tonumber(deadline)) then
    redis.call('UNLINK', key)
    told[i] = '1'
  end
end
return table.concat(told)`;

/**
 * KEYS: many Redis keys. ARGV: the command that tells the deadline of one; Redis has none for many.
 * The answer is packed as doubles: an array of numbers takes as long again to send and read.
 */
export const DEADLINES = `
local call, keys, deadlines = redis.call, KEYS, {}
for i = 1, #keys do deadlines[i] = call(ARGV[1], keys[i]) end
return struct.pack('<' .. string.rep('d', #keys), unpack(deadlines))`;
