/** Where on the page somebody is: what its address says, and addresses for other places. */
import { decodeKey } from "../codec/key.ts";
import { DecodeError } from "../codec/errors.ts";
import { decodeBase64, encodeBase64 } from "../platform/base64.ts";
import type { Wanted } from "./listing.ts";

/** What the right side shows of an entry. */
export const VIEWS = ["value", "bytes", "versions"] as const;

/** Where somebody is. */
export interface Place extends Wanted {
  /** The list of keys, once it has begun, and which page of it. */
  readonly list?: string;
  readonly page: number;
  /** The canonical text of the key that is looked at. */
  readonly key?: string;
  readonly view: typeof VIEWS[number];
  /** The first byte that is shown. */
  readonly from: number;
  /** The versions that are compared. */
  readonly left?: number;
  readonly right?: number;
}

/** An address that leads nowhere; the message says why. */
export class BadAddress extends Error {
  override readonly name = "BadAddress";
}

/** A key whose address is longer than this is written in a shorter way. */
const LONG = 8_000;
/** Servers take no longer address than 64 KiB. */
const TOO_LONG = 60_000;

/**
 * Reads an address.
 *
 * @param dbname The store when it names none.
 * @throws {BadAddress} When a part of it is not what the pages write there.
 */
export function placeOf(params: URLSearchParams, dbname: string): Place {
  const text = (name: string) => params.get(name) || undefined;
  const list = text("list");
  const page = numberOf(params, "page", 1) ?? 1;
  if (list === undefined && page > 1) {
    throw new BadAddress("Pages of keys are listed in turn: begin with the first");
  }
  return {
    dbname: text("store") ?? dbname,
    prefix: text("prefix"),
    tag: text("tag"),
    find: text("find"),
    within: oneOf(params, "in", ["keys", "values"] as const),
    list,
    page,
    key: keyOf(params),
    view: oneOf(params, "view", VIEWS),
    from: numberOf(params, "from", 0) ?? 0,
    left: numberOf(params, "left", 1),
    right: numberOf(params, "right", 1),
  };
}

/** The canonical text of the key that an address names. */
export function keyOf(params: URLSearchParams): string | undefined {
  const text = params.get("key") ?? fromBase64(params.get("key64"));
  if (text === undefined) return undefined;
  try {
    decodeKey(text);
    return text;
  } catch (error) {
    if (error instanceof DecodeError) throw new BadAddress(error.message);
    throw error;
  }
}

/** The address of a key in a store, without its path; `undefined` when it is too long for one. */
export function keyAddress(dbname: string, key: string): string | undefined {
  const address = paramsOf({ dbname, key }).toString();
  return address.length > TOO_LONG ? undefined : address;
}

/**
 * The address of a place; `undefined` when its key is too long for one.
 *
 * @param changes What is different there.
 */
export function addressOf(place: Partial<Place>, changes: Partial<Place> = {}): string | undefined {
  const address = `?${paramsOf({ ...place, ...changes })}`;
  return address.length > TOO_LONG ? undefined : address;
}

function paramsOf(place: Partial<Place>): URLSearchParams {
  const { dbname, prefix, tag, find, within, list, page = 1, key, view, from, left, right } = place;
  const params = new URLSearchParams();
  const add = (name: string, value: string | number | undefined, usual?: string | number) => {
    if (value !== undefined && value !== usual) params.set(name, String(value));
  };
  add("store", dbname);
  add("prefix", prefix);
  add("tag", tag);
  add("find", find);
  add("in", within, "keys");
  add("list", list);
  add("page", page, 1);
  if (key !== undefined) {
    const isLong = encodeURIComponent(key).length > LONG;
    if (isLong) {
      const bytes = new TextEncoder().encode(key);
      add("key64", toBase64url(bytes));
    } else add("key", key);
  }
  add("view", view, "value");
  add("from", from, 0);
  add("left", left);
  add("right", right);
  return params;
}

/** Base64 of which nothing has another meaning in an address. */
function toBase64url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replace(/[+/=]/g, (letter) => OTHERWISE[letter]);
}

const OTHERWISE: Record<string, string> = { "+": "-", "/": "_", "=": "", "-": "+", "_": "/" };

function fromBase64(text: string | null): string | undefined {
  if (text === null) return undefined;
  try {
    const standard = text.replace(/[-_]/g, (letter) => OTHERWISE[letter]);
    const bytes = decodeBase64(standard.padEnd(Math.ceil(standard.length / 4) * 4, "="));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BadAddress("The key in this address is not complete", { cause });
  }
}

function numberOf(params: URLSearchParams, name: string, least: number): number | undefined {
  const text = params.get(name);
  if (text === null || text === "") return undefined;
  const number = Number(text);
  if (/^\d{1,15}$/.test(text) && number >= least) return number;
  throw new BadAddress(`Expected ${name} to be a whole number from ${least} on`);
}

function oneOf<T extends string>(
  params: URLSearchParams,
  name: string,
  values: readonly [T, ...T[]],
): T {
  const text = params.get(name);
  if (text === null || text === "") return values[0];
  if ((values as readonly string[]).includes(text)) return text as T;
  throw new BadAddress(`Expected ${name} to be one of ${values.join(", ")}`);
}
