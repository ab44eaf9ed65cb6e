import { DecodeError } from "../../codec/errors.ts";
import { engineError, messageOf } from "../errors.ts";
import { EngineError } from "../errors.ts";
import type { RedisAddress } from "./address.ts";
import { isPermissionDenied } from "../../platform/errors.ts";

/** What was being done. */
export type RedisOperation =
  | "open"
  | "get"
  | "getMany"
  | "has"
  | "set"
  | "setMany"
  | "delete"
  | "deleteMany"
  | "compareAndSet"
  | "keys"
  | "entries"
  | "size"
  | "clear"
  | "check"
  | "byteSize";

const CHANGES: readonly RedisOperation[] = [
  "set",
  "setMany",
  "delete",
  "deleteMany",
  "compareAndSet",
  "clear",
];

/** What ioredis says of a command when its connection went. */
const LOST =
  /Connection is closed|max retries per request|None of startup nodes|slots cache|Cluster is|isn't (ready|writeable)|aborted|ECONNRESET|EPIPE/;

/** What a message of the server, of ioredis or of the system means, and what to do. */
const MEANINGS: [RegExp, (path: string, message: string) => string][] = [
  [
    /ECONNREFUSED|ENOENT|None of startup nodes|slots cache|a part of the cluster/,
    (path, message) =>
      `no connection to ${path} (${message}); start a Redis server there, or name another one in the options`,
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/,
    (path, message) =>
      `no connection to ${path} (${message}); check the host's name and the network`,
  ],
  [
    /^(WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/,
    (path, message) => `${path} refuses the login (${message}); check user and password`,
  ],
  [
    /^NOPERM/,
    (path, message) =>
      `${path} does not let this user do it (${message}); change the user's rights there`,
  ],
  [
    /^OOM/,
    (path, message) =>
      `${path} is out of memory (${message}); raise its maxmemory, or let it evict`,
  ],
  [
    /^(MOVED|ASK) /,
    (path) => `${path} is a node of a Redis Cluster; name its nodes in the option "cluster"`,
  ],
  [
    /cluster support disabled/,
    (path) => `${path} is no Redis Cluster; name the server in the option "url"`,
  ],
  [
    /certificate|self.signed|UnknownIssuer|TLS|SSL|ssl/,
    (path, message) =>
      `no TLS connection to ${path} (${message}); give the certificate's issuer in the option "tls": { ca }, ` +
      `or check that the server speaks TLS`,
  ],
  [
    /Unknown RESP type/,
    (path) => `what answers at ${path} does not speak Redis' protocol; check host and port`,
  ],
  [
    LOST,
    (path) =>
      `the connection to ${path} was lost; try again, it is made anew when the server is there`,
  ],
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
  /**
   * What went wrong with the connection last, when something did: an error of a command only says
   * that it is closed.
   */
  readonly trouble: unknown;
  /** Whether the server may have got the command. */
  readonly sent: boolean;
}

/**
 * Whether what failed, by an error in the engine's words, is that the server holds something else
 * than a string there.
 */
export function isWrongType(error: unknown): boolean {
  return error instanceof EngineError && textOf(error.cause).includes("WRONGTYPE");
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
 * An error of ioredis or the server in the engine's words. Neither it nor its cause holds the
 * original, which has the arguments of the command: values, and in a refused login the password.
 */
export function redisError({ operation, address, error, trouble, sent }: RedisFailure): Error {
  const lost = isLost(error);
  const why = lost && trouble !== undefined ? trouble : error;
  let because = explain(textOf(why), why, address);
  if (lost && (sent || error instanceof NoAnswer) && CHANGES.includes(operation)) {
    because += "; whether the change was made is not known";
  }
  return engineError("redis", operation, because, copyOf(why, address));
}

/**
 * Whether the error says that the connection went, so that the command may have been done or not.
 */
function isLost(error: unknown): boolean {
  return error instanceof NoAnswer || LOST.test(textOf(error));
}

function explain(message: string, error: unknown, address: RedisAddress): string {
  const { path, timeout } = address;
  if (error instanceof NoAnswer) {
    return `${path} does not answer within ${timeout} ms; see how busy it is, or raise the option "timeout"`;
  }
  // It says itself which flag is missing.
  if (isPermissionDenied(error)) return message;
  const meaning = MEANINGS.find(([pattern]) => pattern.test(message))?.[1];
  return meaning?.(path, message) ?? `${path} says: ${message}`;
}

/** What the error says, without what it holds. */
function copyOf(error: unknown, { password }: RedisAddress): Error {
  const message = textOf(error);
  const copy = new Error(password ? message.replaceAll(password, "***") : message);
  if (error instanceof Error) copy.name = error.name;
  return copy;
}

function textOf(error: unknown): string {
  // Of several addresses of a host each had an error: then the message is empty.
  return messageOf(error) || String((error as { code?: unknown }).code);
}
