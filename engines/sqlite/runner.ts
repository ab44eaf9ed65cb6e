import { dirname } from "node:path";
import { tryAgain } from "../../platform/retry.ts";
import type { Awaitable } from "../engine.ts";
import { engineError, messageOf } from "../errors.ts";
import { fileError } from "../file_failures.ts";
import type { SqlConnection } from "./driver.ts";

/** How long SQLite itself may wait for a lock, ms: so long is the event loop blocked. */
export const BUSY_SLICE = 5;

// The two libraries have nothing but SQLite's own messages in common.
const BUSY = /database (table |schema )?is locked|locking protocol/;
const DAMAGED = /malformed|not a database|unsupported file format/;

/** Whose SQL it is, for messages. */
export interface SqlOwner {
  /** The engine's name. */
  readonly engine: string;
  /** The database file. */
  readonly path: string;
}

/**
 * Runs an action on a database. It is tried at once, so that it costs no turn of the event loop;
 * while other processes keep the database locked, it is tried again with pauses that leave the
 * event loop free.
 *
 * @param limit How long to keep trying, ms.
 * @throws {EngineError} In the engine's words, whatever SQLite says.
 */
export function attempt<T>(
  owner: SqlOwner,
  operation: string,
  action: () => T,
  limit?: number,
): Awaitable<T> {
  try {
    return action();
  } catch (error) {
    if (!isBusy(error)) throw sqlError(owner, operation, error);
    return attemptAgain(owner, operation, action, limit);
  }
}

async function attemptAgain<T>(
  owner: SqlOwner,
  operation: string,
  action: () => T,
  limit: number | undefined,
): Promise<T> {
  try {
    return await tryAgain(action, isBusy, limit);
  } catch (error) {
    throw sqlError(owner, operation, error);
  }
}

/**
 * Runs an action in a transaction: all of it takes effect, or nothing. It must not wait for
 * anything.
 */
export function transact<T>(connection: SqlConnection, action: () => T): T {
  return enclose(connection, "BEGIN IMMEDIATE", action);
}

/** Lets an action read one state of the database. It must not wait for anything. */
export function snapshot<T>(connection: SqlConnection, action: () => T): T {
  return enclose(connection, "BEGIN", action);
}

function enclose<T>(connection: SqlConnection, begin: string, action: () => T): T {
  connection.exec(begin);
  try {
    const result = action();
    connection.exec("COMMIT");
    return result;
  } catch (error) {
    rollback(connection);
    throw error;
  }
}

function rollback(connection: SqlConnection): void {
  try {
    connection.exec("ROLLBACK");
  } catch (error) {
    // After a full disk and the like SQLite has rolled back by itself: the error that led here says
    // more.
    if (!/no transaction is active/.test(messageOf(error))) throw error;
  }
}

/** Whether another connection is in the way for the moment. */
function isBusy(error: unknown): boolean {
  return BUSY.test(messageOf(error));
}

/** Whether the file's content is damaged or no database at all. */
export function isDamaged(error: unknown): boolean {
  return DAMAGED.test(messageOf(error));
}

/** An error of the library or the system in the engine's words; ours stay as they are. */
export function sqlError({ engine, path }: SqlOwner, operation: string, error: unknown): Error {
  const because = explain(messageOf(error), `"${path}"`);
  return because === undefined
    ? fileError(engine, operation, dirname(path), error)
    : engineError(engine, operation, because, error);
}

function explain(message: string, file: string): string | undefined {
  if (BUSY.test(message)) {
    return `another process keeps ${file} locked for too long; end it or try later`;
  }
  if (/not a database/.test(message)) {
    return `${file} is not an SQLite database; move it away or use another path`;
  }
  if (DAMAGED.test(message)) {
    return `${file} is damaged (${message}); restore it from a copy, save what can be read with ` +
      `the command sqlite3 ${file} .recover, or delete it`;
  }
  if (/readonly/.test(message)) {
    return `${file} or its folder cannot be written; check its permissions`;
  }
  if (/unable to open/.test(message)) {
    return `${file} cannot be opened or made; check that it is a file in a folder that may be written`;
  }
  if (/disk is full/.test(message)) return `the disk of ${file} is full; free some space`;
}
