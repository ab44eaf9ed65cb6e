import { join } from "node:path";
import { type Bare, fromJSON, toJSON } from "./bare.ts";

/** What Deno KV takes in one value, in one read. */
const VALUE = 65_536;
const KEYS = 10;

/** Deno KV in a file: a value per key; one that is too large in pieces beside each other. */
export async function openBare(folder: string): Promise<Bare> {
  const kv = await Deno.openKv(join(folder, "bare.kv"));
  return {
    async get(key) {
      const { value } = await kv.get<Uint8Array | number>([key]);
      if (value instanceof Uint8Array) return fromJSON(value);
      const places = Array.from({ length: value ?? 0 }, (_, i) => [key, i]);
      const pieces = await kv.getMany<Uint8Array[]>(places);
      return fromJSON(concatenate(pieces.map(({ value }) => value ?? new Uint8Array())));
    },
    set(key, value) {
      const bytes = toJSON(value);
      if (bytes.byteLength <= VALUE) return kv.set([key], bytes);
      const count = Math.ceil(bytes.byteLength / VALUE);
      const operation = kv.atomic().set([key], count);
      for (let i = 0; i < count; i++) {
        operation.set([key, i], bytes.subarray(i * VALUE, (i + 1) * VALUE));
      }
      return operation.commit();
    },
    async getMany(keys) {
      const values: unknown[] = [];
      for (let i = 0; i < keys.length; i += KEYS) {
        const found = await kv.getMany<Uint8Array[]>(keys.slice(i, i + KEYS).map((key) => [key]));
        for (const { value } of found) values.push(value && fromJSON(value));
      }
      return values;
    },
    setMany(pairs) {
      const operation = kv.atomic();
      for (const [key, value] of pairs) operation.set([key], toJSON(value));
      return operation.commit();
    },
    close: () => kv.close(),
  };
}

function concatenate(pieces: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
