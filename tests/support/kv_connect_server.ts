/**
 * A small KV Connect server, to test Deno KV's remote path against: the metadata exchange, then
 * `snapshot_read`, `atomic_write` and `watch` as denokv's `proto/kv-connect.md` describes them, on data in
 * memory. A POST to `/lag` makes its reads those of a replica that stays behind as it is then, until one
 * to `/catch_up`. Run as a program, it prints its URL and ends with its standard input.
 */
import protobuf from "protobufjs";

/** What clients must send as their token. */
export const TOKEN = "test-token";

const SCHEMA = protobuf.parse(`
  syntax = "proto3";
  message SnapshotRead { repeated ReadRange ranges = 1; }
  message ReadRange { bytes start = 1; bytes end = 2; int32 limit = 3; bool reverse = 4; }
  message SnapshotReadOutput {
    repeated ReadRangeOutput ranges = 1;
    bool read_disabled = 2;
    bool read_is_strongly_consistent = 4;
    int32 status = 8;
  }
  message ReadRangeOutput { repeated KvEntry values = 1; }
  message KvEntry { bytes key = 1; bytes value = 2; int32 encoding = 3; bytes versionstamp = 4; }
  message AtomicWrite { repeated Check checks = 1; repeated Mutation mutations = 2; }
  message Check { bytes key = 1; bytes versionstamp = 2; }
  message Mutation { bytes key = 1; KvValue value = 2; int32 mutation_type = 3; int64 expire_at_ms = 4; }
  message KvValue { bytes data = 1; int32 encoding = 2; }
  message Watch { repeated WatchKey keys = 1; }
  message WatchKey { bytes key = 1; }
  message WatchOutput { int32 status = 1; repeated WatchKeyOutput keys = 2; }
  message WatchKeyOutput { bool changed = 1; KvEntry entry_if_changed = 2; }
  message AtomicWriteOutput { int32 status = 1; bytes versionstamp = 2; repeated uint32 failed_checks = 4; }
`).root;
const [SnapshotRead, SnapshotReadOutput, AtomicWrite, AtomicWriteOutput, Watch, WatchOutput] = [
  "SnapshotRead",
  "SnapshotReadOutput",
  "AtomicWrite",
  "AtomicWriteOutput",
  "Watch",
  "WatchOutput",
].map((name) => SCHEMA.lookupType(name));

/** What denokv takes in one request: Deno itself takes more checks. */
const RANGES = 10, CHECKS = 10, MUTATIONS = 1_000;

const SUCCESS = 1, CHECK_FAILED = 2;
const SET = 1, DELETE = 2;

interface Item {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly encoding: number;
  readonly versionstamp: Uint8Array;
  readonly expiresAt: number;
}

interface ReadRequest {
  readonly ranges: { start: Uint8Array; end: Uint8Array; limit: number; reverse: boolean }[];
}

interface WriteRequest {
  readonly checks: { key: Uint8Array; versionstamp: Uint8Array }[];
  readonly mutations: {
    key: Uint8Array;
    value: { data: Uint8Array; encoding: number } | null;
    mutationType: number;
    expireAtMs: number;
  }[];
}

/** The data, under the keys in hex: they sort as the bytes do. */
class Database {
  readonly #items = new Map<string, Item>();
  /** What a replica has that stays behind. */
  #old: Map<string, Item> | undefined;
  #version = 0;
  readonly #watchers = new Set<() => void>();

  /** What is under the keys, now and after each write. */
  watch(keys: readonly Uint8Array[], tell: (message: unknown) => void): () => void {
    const look = () => {
      const found = keys.map((key) => this.#items.get(key.toHex()));
      tell({
        status: SUCCESS,
        keys: found.map((item) => ({ changed: true, entryIfChanged: item })),
      });
    };
    look();
    this.#watchers.add(look);
    return () => this.#watchers.delete(look);
  }

  /** From now on reads are those of a replica that stays behind, or no longer. */
  lag(lags: boolean): void {
    this.#old = lags ? new Map(this.#items) : undefined;
  }

  read({ ranges }: ReadRequest): unknown {
    this.#expire();
    const items = this.#old ?? this.#items;
    const keys = [...items.keys()].sort();
    return {
      readIsStronglyConsistent: this.#old === undefined,
      status: SUCCESS,
      ranges: ranges.map(({ start, end, limit, reverse }) => {
        const [from, to] = [start.toHex(), end.toHex()];
        const found = keys.filter((key) => key >= from && key < to);
        if (reverse) found.reverse();
        return { values: found.slice(0, limit).map((key) => items.get(key)) };
      }),
    };
  }

  write({ checks, mutations }: WriteRequest): unknown {
    this.#expire();
    const failedChecks = checks.flatMap(({ key, versionstamp }, i) => {
      const current = this.#items.get(key.toHex())?.versionstamp.toHex() ?? "";
      return current === versionstamp.toHex() ? [] : [i];
    });
    if (failedChecks.length > 0) return { status: CHECK_FAILED, failedChecks };
    const versionstamp = new Uint8Array(10);
    new DataView(versionstamp.buffer).setUint32(4, ++this.#version);
    for (const { key, value, mutationType, expireAtMs } of mutations) {
      if (mutationType === DELETE) {
        this.#items.delete(key.toHex());
      } else if (mutationType === SET && value !== null) {
        const { data, encoding } = value;
        const item = { key, value: data, encoding, versionstamp, expiresAt: expireAtMs };
        this.#items.set(key.toHex(), item);
      } else {
        throw new TypeError(`This server knows no mutation ${mutationType}`);
      }
    }
    for (const look of this.#watchers) look();
    return { status: SUCCESS, versionstamp };
  }

  #expire(): void {
    for (const [key, { expiresAt }] of this.#items) {
      if (expiresAt > 0 && Date.now() >= expiresAt) this.#items.delete(key);
    }
  }
}

/** Answers a request as a KV Connect server does. */
function createHandler(): (request: Request) => Promise<Response> {
  const database = new Database();
  const databaseId = crypto.randomUUID();
  return async (request) => {
    if (request.headers.get("authorization") !== `Bearer ${TOKEN}`) {
      return new Response("wrong token", { status: 401 });
    }
    const { origin, pathname } = new URL(request.url);
    if (pathname === "/lag" || pathname === "/catch_up") {
      database.lag(pathname === "/lag");
      return new Response();
    }
    if (pathname === "/") {
      return Response.json({
        version: 3,
        databaseId,
        endpoints: [{ url: `${origin}/data`, consistency: "strong" }],
        token: TOKEN,
        expiresAt: "2100-01-01T00:00:00Z",
      });
    }
    const body = new Uint8Array(await request.arrayBuffer());
    const answer = (type: protobuf.Type, message: unknown) =>
      new Response(new Uint8Array(type.encode(type.fromObject(Object(message))).finish()), {
        headers: { "content-type": "application/x-protobuf" },
      });
    const plain = { longs: Number, defaults: true, arrays: true };
    if (pathname === "/data/snapshot_read") {
      const read = SnapshotRead.toObject(SnapshotRead.decode(body), plain) as ReadRequest;
      if (read.ranges.length > RANGES) return refusal("Too many read ranges.");
      return answer(SnapshotReadOutput, database.read(read));
    }
    if (pathname === "/data/atomic_write") {
      const write = AtomicWrite.toObject(AtomicWrite.decode(body), plain) as WriteRequest;
      if (write.checks.length > CHECKS) {
        return refusal("Too many checks included in atomic write.");
      }
      if (write.mutations.length > MUTATIONS) return refusal("Too many mutations.");
      return answer(AtomicWriteOutput, database.write(write));
    }
    if (pathname === "/data/watch") {
      const { keys } = Watch.toObject(Watch.decode(body), plain) as { keys: { key: Uint8Array }[] };
      return new Response(watched(database, keys.map(({ key }) => key)));
    }
    return new Response("unknown", { status: 404 });
  };
}

/** A stream of messages, each behind its length. */
function watched(database: Database, keys: Uint8Array[]): ReadableStream<Uint8Array> {
  let end = () => {};
  return new ReadableStream({
    start(controller) {
      end = database.watch(keys, (message) => {
        const bytes = WatchOutput.encode(WatchOutput.fromObject(Object(message))).finish();
        const framed = new Uint8Array(4 + bytes.length);
        new DataView(framed.buffer).setUint32(0, bytes.length, true);
        framed.set(bytes, 4);
        controller.enqueue(framed);
      });
    },
    cancel: () => end(),
  });
}

function refusal(text: string): Response {
  return new Response(text, { status: 400 });
}

/**
 * Starts a server in a process of its own, as a test's setup. The token is set for this process and
 * its children.
 */
export async function startKvConnect(): Promise<{
  options: { path: string };
  stop(): Promise<void>;
}> {
  Deno.env.set("DENO_KV_ACCESS_TOKEN", TOKEN);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", import.meta.url],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value: url = "" } = await reader.read();
  return {
    options: { path: url.trim() },
    async stop() {
      await child.stdin.close();
      await reader.cancel();
      await child.status;
    },
  };
}

if (import.meta.main) {
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: ({ port }) => console.log(`http://127.0.0.1:${port}/`),
  }, createHandler());
  for await (const _ of Deno.stdin.readable);
  await server.shutdown();
}
