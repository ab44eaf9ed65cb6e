/**
 * What goes wrong with a Postgres server, and what it means. No error here holds the original of
 * npm:pg, which may have keys in its details.
 */
import { errorCode, isPermissionDenied } from "../../platform/errors.ts";
import type { EngineOperation } from "../engine.ts";
import { messageOf, withoutAnswer } from "../errors.ts";
import type { PostgresAddress } from "./address.ts";

/** What npm:pg and the system say when a connection went. */
const LOST =
  /Connection terminated|connection error and is not queryable|socket hang up|ECONNRESET|EPIPE|ECONNABORTED|closed the connection/i;

type Meaning = (address: PostgresAddress, message: string) => string;

/** What an error's code means, and what to do: of the server (SQLSTATE), or of the system. */
const CODES: Record<string, Meaning> = {
  "28P01": refusedLogin,
  "28000": refusedLogin,
  "3D000": ({ path }, message) =>
    `${path} is a database that the server does not have (${message}); make it with createdb, or ` +
    `name another one in the URL`,
  "3F000": ({ table }, message) =>
    `the schema of the table ${
      table.join(".")
    } is not there (${message}); make it with CREATE SCHEMA`,
  "42501": ({ path, table }, message) =>
    `${path} does not let this user do it (${message}); grant SELECT, INSERT, UPDATE and DELETE on ` +
    `the table ${table.join(".")}, and CREATE on its schema where the table is not there yet`,
  "42P10": otherShape,
  "42703": otherShape,
  "42804": otherShape,
  "42809": otherShape,
  shape: otherShape,
  busy: ({ path, pool, timeout }) =>
    `all ${pool} connections to ${path} were busy for ${timeout} ms; raise the option "pool" or ` +
    `"timeout", or see what keeps them busy (pg_stat_activity)`,
  "26000": pooled,
  "42P05": pooled,
  "25006": ({ path }, message) =>
    `${path} takes no changes (${message}): it is a standby, or read only; after a failover try ` +
    `again, the connection is made anew; else name the primary in the URL`,
  "53300": tooMany,
  "53100": diskFull,
  "53200": ({ path }, message) =>
    `${path} is out of memory (${message}); see its log and its settings for memory`,
  "57P01": ({ path }, message) =>
    `${path} ended the connection (${message}); try again, it is made anew when the server is there`,
  "57P02": ({ path }, message) =>
    `${path} is starting again after a crash (${message}); try again in a moment, and see its log`,
  "57P03": ({ path }, message) =>
    `${path} is not ready for connections (${message}); try again in a moment, or see its log`,
  "57014": ({ path }, message) =>
    `${path} stopped the statement (${message}); see its settings statement_timeout and lock_timeout`,
  "55P03": ({ path }, message) =>
    `another session of ${path} keeps the rows locked (${message}); end it or try later`,
  ECONNREFUSED: noServer,
  ENOENT: noServer,
  EACCES: noServer,
  ENOTFOUND: noHost,
  EAI_AGAIN: noHost,
  ETIMEDOUT: noHost,
  EHOSTUNREACH: noHost,
  ENETUNREACH: noHost,
};

/** What a message of npm:pg or of TLS means. */
const MESSAGES: [RegExp, Meaning][] = [
  [
    /certificate|self.signed|UnknownIssuer|TLS|SSL|ssl/,
    ({ path }, message) =>
      `no TLS connection to ${path} (${message}); give the certificate's issuer in the option "tls": { ca }, ` +
      `or check that the server speaks TLS`,
  ],
  [
    /password must be a string|client password/i,
    ({ path }) =>
      `${path} asks for a password; put it in the URL, as in postgres://user:password@…`,
  ],
  [
    LOST,
    ({ path }) =>
      `the connection to ${path} was lost; try again, it is made anew when the server is there`,
  ],
];

function refusedLogin({ path }: PostgresAddress, message: string): string {
  return `${path} refuses the login (${message}); check user, password and database, and the ` +
    `server's pg_hba.conf`;
}

function otherShape({ table }: PostgresAddress, message: string): string {
  return `${message}; the table ${
    table.join(".")
  } is not of this engine: name another one in the ` +
    `option "table"`;
}

function tooMany({ path, pool }: PostgresAddress, message: string): string {
  return `${path} has no connection left (${message}); close some, raise its max_connections, or lower ` +
    `the option "pool" of its clients (here ${pool})`;
}

function pooled({ path }: PostgresAddress, message: string): string {
  return `${path} does not keep prepared statements apart (${message}): there is a pool between, such ` +
    `as PgBouncer in transaction mode; let it do so (PgBouncer 1.21 or newer, its setting ` +
    `max_prepared_statements), or give a URL that leads to the server itself, or to a pool in ` +
    `session mode`;
}

function diskFull({ path }: PostgresAddress, message: string): string {
  return `the disk of ${path} is full (${message}); free some space`;
}

function noServer({ path }: PostgresAddress, message: string): string {
  return `no connection to ${path} (${message}); start a Postgres server there, or name another one ` +
    `in the option "url"`;
}

function noHost({ path }: PostgresAddress, message: string): string {
  return `no connection to ${path} (${message}); check the host's name and the network`;
}

/** How far a statement came before it failed. */
interface Failed {
  /** What the server (SQLSTATE) or the system calls it. */
  code?: string;
  /** Whether no answer came in time. */
  isLate?: boolean;
  /** Whether the server may have done it all the same. */
  isUnsure?: boolean;
}

/** A statement failed. Its message is that of the server, of npm:pg or of the system. */
export class PostgresError extends Error {
  override readonly name = "PostgresError";
  readonly code: string | undefined;
  readonly isLate: boolean;
  readonly isUnsure: boolean;

  constructor(message: string, { code, isLate = false, isUnsure = false }: Failed) {
    super(message);
    this.code = code;
    this.isLate = isLate;
    this.isUnsure = isUnsure;
  }
}

/** No answer came in time. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  override readonly message = "No answer in time";
}

/** All connections were in use for as long as one may wait. */
export class NoConnection extends Error {
  override readonly name = "NoConnection";
  override readonly message = "No connection in time";
  readonly code = "busy";
}

/**
 * The error of a statement, without what it holds.
 *
 * @param sent Whether the server may have got the statement.
 */
export function postgresError(
  error: unknown,
  sent: boolean,
  { password }: PostgresAddress,
): Error {
  // It says itself which flag is missing, and no statement was sent.
  if (error instanceof Error && isPermissionDenied(error)) return error;
  const [first] = error instanceof AggregateError ? error.errors : [error];
  const code = errorCode(first);
  const isLate = error instanceof NoAnswer ||
    /^(timeout expired|.*due to connection timeout)$/.test(messageOf(error));
  // Of several addresses of a host each had an error: then the message is empty.
  let message = messageOf(first) || String(code);
  if (password) message = message.replaceAll(password, "***");
  // What the server itself refuses has not been done.
  const isServers = code !== undefined && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) &&
    !code.startsWith("57P");
  return new PostgresError(message, { code, isLate, isUnsure: sent && (isLate || !isServers) });
}

/** Whether the server stopped the statement for another one's sake: it can be done again. */
export function isStopped(error: unknown): boolean {
  return error instanceof PostgresError && ["40P01", "40001"].includes(error.code ?? "");
}

/** Whether the table is not there. */
export function isTableAbsent(error: unknown): boolean {
  return error instanceof PostgresError && error.code === "42P01";
}

/** What an error of a statement means and what to do about it. */
export function explainPostgres(
  error: unknown,
  operation: EngineOperation,
  address: PostgresAddress,
): string | undefined {
  if (!(error instanceof PostgresError)) return undefined;
  const because = meaningOf(error, address);
  return error.isUnsure ? withoutAnswer(operation, because) : because;
}

function meaningOf({ code, message, isLate }: PostgresError, address: PostgresAddress): string {
  const { path, timeout } = address;
  if (isLate) {
    return `${path} does not answer within ${timeout} ms; see how busy it is and what locks the rows ` +
      `(pg_stat_activity), or raise the option "timeout"`;
  }
  const meaning = code !== undefined && Object.hasOwn(CODES, code)
    ? CODES[code]
    : MESSAGES.find(([pattern]) => pattern.test(message))?.[1];
  return meaning?.(address, message) ?? `${path} says: ${message}`;
}
