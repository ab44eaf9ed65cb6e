/**
 * What goes wrong with a Redis server, and what it means. No error here holds the original of
 * ioredis, which has the arguments of the command: values, and in a refused login the password.
 */
import { DecodeError } from "../../codec/errors.ts";
import { isPermissionDenied } from "../../platform/errors.ts";
import type { EngineOperation } from "../engine.ts";
import { messageOf, withoutAnswer } from "../errors.ts";
import type { RedisAddress } from "./address.ts";

/** What ioredis says of a command when its connection went. */
const LOST =
  /Connection is closed|max retries per request|None of startup nodes|slots cache|Cluster is|isn't (ready|writeable)|aborted|ECONNRESET|EPIPE/;

/** What a message of the server, of ioredis or of the system means, and what to do. */
const MEANINGS: [RegExp, (path: string, message: string) => string][] = [
  [
    /sentinels are unreachable/,
    (path, message) =>
      `no Sentinel tells where ${path} is (${message}); check their addresses in the option ` +
      `"sentinels", their password, and the server's name in "url"`,
  ],
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
    /DB index is out of range|SELECT is not allowed/,
    (path, message) =>
      `${path} is a database that the server does not have (${message}); name another one in the URL, ` +
      `or raise "databases" in the server's settings`,
  ],
  [
    /^NOPERM/,
    (path, message) =>
      `${path} does not let this user do it (${message}); change the user's rights there`,
  ],
  [
    /READONLY/,
    (path, message) =>
      `${path} is a replica and takes no changes (${message}); after a failover try again, the ` +
      `connection is made anew; else name the primary in the options`,
  ],
  [
    /^MASTERDOWN/,
    (path, message) =>
      `${path} is a replica without its primary (${message}); name the primary in the options, or ` +
      `wait until it is back`,
  ],
  [
    /LOADING/,
    (path, message) =>
      `${path} is still reading its data (${message}); try again in a moment, or see its log`,
  ],
  [
    /CLUSTERDOWN|Too many Cluster redirections/,
    (path, message) =>
      `a part of the cluster at ${path} has no server (${message}); try again when a replica has ` +
      `taken over, or see redis-cli CLUSTER INFO`,
  ],
  [
    /NOREPLICAS/,
    (path, message) =>
      `${path} has too few replicas to take changes (${message}); start them, or lower its ` +
      `min-replicas-to-write`,
  ],
  [
    /MISCONF/,
    (path, message) =>
      `${path} can't write to its disk and takes no changes (${message}); free its disk, and see ` +
      `its log`,
  ],
  [
    /^BUSY/,
    (path, message) =>
      `${path} is kept busy by a script (${message}); end it by redis-cli SCRIPT KILL`,
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

/** A command failed. Its message is that of the server, of ioredis or of the system. */
export class RedisError extends Error {
  /** What the original error was called. */
  override readonly name: string;
  /** Whether no answer came in time. */
  readonly isLate: boolean;
  /** Whether the server may have done it all the same. */
  readonly isUnsure: boolean;

  constructor(
    message: string,
    { name, isLate, isUnsure }: { name: string; isLate: boolean; isUnsure: boolean },
  ) {
    super(message);
    this.name = name;
    this.isLate = isLate;
    this.isUnsure = isUnsure;
  }
}

/** What ioredis says of a server of a cluster that answered nothing for as long as `timeout`. */
const SILENT = /Socket timeout/;

/** No answer came in time. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** How a command came to its error. */
export interface RedisFailure {
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

/** The error of a command, without what it holds. */
export function redisError(
  { error, trouble, sent }: RedisFailure,
  { password, sentinels }: RedisAddress,
): Error {
  const isLost = isSilence(error) || LOST.test(textOf(error));
  const why = isLost && trouble !== undefined ? trouble : error;
  // It says itself which flag is missing, and no command was sent.
  if (why instanceof Error && isPermissionDenied(why)) return why;
  let message = textOf(why);
  for (const secret of [password, sentinels?.password]) {
    if (secret) message = message.replaceAll(secret, "***");
  }
  return new RedisError(message, {
    name: why instanceof Error ? why.name : "Error",
    isLate: isSilence(why),
    isUnsure: isLost && (sent || isSilence(error)),
  });
}

/** What an error of a command means and what to do about it. */
export function explainRedis(
  error: unknown,
  operation: EngineOperation,
  { path, timeout }: RedisAddress,
): string | undefined {
  if (!(error instanceof RedisError)) return undefined;
  const { message } = error;
  const because = error.isLate
    ? `${path} does not answer within ${timeout} ms; see how busy it is and whether it is still ` +
      `reading its data, or raise the option "timeout"`
    : MEANINGS.find(([pattern]) => pattern.test(message))?.[1](path, message) ??
      `${path} says: ${message}`;
  return error.isUnsure ? withoutAnswer(operation, because) : because;
}

/** Whether the server holds something else than a string there. */
export function isWrongType(error: unknown): boolean {
  return error instanceof RedisError && error.message.includes("WRONGTYPE");
}

/** That the key holds something that this engine never writes. */
export function foreignError(redisKey: string, key: string): DecodeError {
  return new DecodeError(
    `the Redis key ${JSON.stringify(redisKey)} holds something else than a string, which another ` +
      `program put there; delete the entry if nobody needs it`,
    { key, kind: "foreign" },
  );
}

function isSilence(error: unknown): boolean {
  return error instanceof NoAnswer || SILENT.test(textOf(error));
}

function textOf(error: unknown): string {
  // Of several addresses of a host each had an error: then the message is empty.
  return messageOf(error) || String((error as { code?: unknown }).code);
}
