import { Redis } from "ioredis";
import { Buffer } from "node:buffer";
import { startRedis } from "../../../tests/support/redis_server.ts";
import { type Bare, fromJSON, toJSON } from "./bare.ts";

/** ioredis on a server of its own, which the stash uses too. */
export async function openBare(): Promise<Bare> {
  const server = await startRedis();
  const client = new Redis(server.url, { lazyConnect: true });
  await client.connect();
  const buffer = (value: unknown) => {
    const { buffer, byteOffset, byteLength } = toJSON(value);
    return Buffer.from(buffer, byteOffset, byteLength);
  };
  return {
    engineOptions: { url: server.url },
    get: async (key) => fromJSON(await client.getBuffer(key) ?? Buffer.from("")),
    set: (key, value) => client.set(key, buffer(value)),
    getMany: async (keys) => {
      const values = await client.mgetBuffer(keys);
      return values.map((value) => fromJSON(value ?? Buffer.from("")));
    },
    setMany: (pairs) => client.mset(pairs.flatMap(([key, value]) => [key, buffer(value)])),
    async close() {
      await client.quit();
      await server[Symbol.asyncDispose]();
    },
  };
}
