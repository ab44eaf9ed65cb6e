import { DecodeError } from "../codec/errors.ts";
import { EngineError } from "./errors.ts";
import type { RedisAddress } from "./_redis_address.ts";

/** What an operation does, for messages. */
const DOING = {
  open: "open",
  get: "get entry in",
  getMany: "get entries in",
  has: "look for entry in",
  set: "set entry in",
  setMany: "set entries in",
  delete: "delete entry in",
  deleteMany: "delete entries in",
  compareAndSet: "change entry in",
  keys: "list keys of",
  size: "count entries in",
  clear: "clear",
  check: "check",
  byteSize: "measure",
};

/** What was being done. */
export type RedisOperation = keyof typeof DOING;

const CHANGES: readonly RedisOperation[] = [
  "set",
  "setMany",
  "delete",
  "deleteMany",
  "compareAndSet",
  "clear",
];

/** No answer came in time. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** How an operation came to its error. */
export interface RedisFailure {
  readonly operation: RedisOperation;
  readonly address: RedisAddress;
  /** What ioredis or the server says. */
  readonly error: unknown;
  /** What went wrong with the connection last, when something did: an error of a command only says that it is closed. */
  readonly trouble: unknown;
  /** Whether the server may have got the command. */
  readonly sent: boolean;
}

/** Whether the server holds something else than a string under the key. */
export function isWrongType(error: unknown): boolean {
  return /^(ERR )?WRONGTYPE/.test(messageOf(error));
}

/** That the key holds something that this engine never writes. */
export function foreignError(redisKey: string, key: string): DecodeError {
  return new DecodeError(
    `Cannot get entry in engine "redis": the Redis key ${
      JSON.stringify(redisKey)
    } holds something else than a ` +
      `string, which another program put there; delete the entry, or run check with fix`,
    { engine: "redis", key },
  );
}

/**
 * An error of ioredis or the server in the engine's words. Neither it nor its cause holds the original, which has the
 * arguments of the command: values, and in a refused login the password.
 */
export function redisError({ operation, address, error, trouble, sent }: RedisFailure): Error {
  const lost = isLost(error);
  const why = lost && trouble !== undefined ? trouble : error;
  let because = explain(messageOf(why), why, address);
  if (lost && sent && CHANGES.includes(operation)) {
    because += "; whether the change was made is not known";
  }
  return new EngineError(`Cannot ${DOING[operation]} engine "redis": ${because}`, {
    engine: "redis",
    operation,
    cause: copyOf(why, address),
  });
}

/** Whether the error says that the connection went, so that the command may have been done or not. */
function isLost(error: unknown): boolean {
  if (error instanceof NoAnswer) return true;
  return /Connection is closed|max retries per request|None of startup nodes|slots cache|Cluster is|isn't (ready|writeable)|aborted|ECONN|EPIPE/
    .test(messageOf(error));
}

function explain(
  message: string,
  error: unknown,
  { path, timeout, isCluster }: RedisAddress,
): string {
  if (error instanceof NoAnswer) {
    return `${path} does not answer within ${timeout} ms; see how busy it is, or raise the option "timeout"`;
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `${message.replace(/, run again with.*$/, "")}; allow it with --allow-net=HOST:PORT`;
  }
  if (/ECONNREFUSED|ENOENT|Connection is closed|None of startup|slots cache/.test(message)) {
    return `no connection to ${path} (${message}); start a Redis server there, or set the option ` +
      `"${isCluster ? "cluster" : "url"}"`;
  }
  if (/ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(message)) {
    return `no connection to ${path} (${message}); check the host's name and the network`;
  }
  if (/^(WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/.test(message)) {
    return `${path} refuses the login (${message}); check user and password in the option "url"`;
  }
  if (/^NOPERM/.test(message)) {
    return `${path} does not let this user do it (${message}); change the user's rights there`;
  }
  if (/^OOM/.test(message)) {
    return `${path} is out of memory (${message}); raise its maxmemory, or let it evict`;
  }
  if (/^(MOVED|ASK) /.test(message)) {
    return `${path} is a node of a Redis Cluster; name its nodes in the option "cluster"`;
  }
  if (/cluster support disabled/.test(message)) {
    return `${path} is no Redis Cluster; name the server in the option "url"`;
  }
  if (/certificate|self.signed|UnknownIssuer|TLS|SSL|ssl/.test(message)) {
    return `no TLS connection to ${path} (${message}); give its certificate's issuer in the option ` +
      `"tls": { ca }, or check that the server speaks TLS`;
  }
  return `${path} says: ${message}`;
}

/** What the error says, without what it holds. */
function copyOf(error: unknown, { password }: RedisAddress): Error {
  const message = messageOf(error);
  const copy = new Error(password ? message.replaceAll(password, "***") : message);
  if (error instanceof Error) copy.name = error.name;
  return copy;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  // Of several addresses of a host each had an error: then the message is empty.
  if (error.message === "") return String(code ?? error.name);
  return error.message;
}
