import { dirname } from "node:path";
import { tryAgain } from "../../platform/retry.ts";
import type { Awaitable } from "../engine.ts";
import { messageOf } from "../errors.ts";
import { explainFile } from "../file_failures.ts";
import type { SqlConnection } from "./driver.ts";

/** How long SQLite itself may wait for a lock, ms: so long is the event loop blocked. */
export const BUSY_SLICE = 5;

// The two libraries have nothing but SQLite's own messages in common.
const BUSY = /database (table |schema )?is locked|locking protocol/;
const READ_ONLY = /attempt to write a readonly|unable to open/;
const DAMAGED = /malformed|not a database|unsupported file format/;

/** Something is in the way that only a person can move; the message says what, and what to do. */
export class RefusedError extends Error {}

/**
 * Runs an action on a database. It is tried at once, so that it costs no turn of the event loop;
 * while other processes keep the database locked, it is tried again with pauses that leave the
 * event loop free.
 *
 * @param limit How long to keep trying, ms.
 */
export function whenFree<T>(action: () => T, limit?: number): Awaitable<T> {
  try {
    return action();
  } catch (error) {
    if (!isBusy(error)) throw error;
    return tryAgain(action, isBusy, limit);
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
export function isBusy(error: unknown): boolean {
  return BUSY.test(messageOf(error));
}

/** Whether the system may let us read only. */
export function isReadOnly(error: unknown): boolean {
  return READ_ONLY.test(messageOf(error));
}

/** Whether the file's content is damaged or no database at all. */
export function isDamaged(error: unknown): boolean {
  return DAMAGED.test(messageOf(error));
}

/** The result of an action; the error, where the file is too damaged for it. */
export function unlessDamaged<T>(action: () => T): T | Error {
  try {
    return action();
  } catch (error) {
    if (error instanceof Error && isDamaged(error)) return error;
    throw error;
  }
}

/**
 * What an error of SQLite or of the file system means and what to do about it; `undefined` when its
 * own message says all there is to say.
 *
 * @param path The database file.
 */
export function explainSql(error: unknown, path: string): string | undefined {
  if (error instanceof RefusedError) return undefined;
  const file = `"${path}"`;
  const message = messageOf(error);
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
  if (/attempt to write a readonly/.test(message)) {
    return `${file} or its folder cannot be written; check its permissions`;
  }
  if (/unable to open/.test(message)) {
    return `${file} cannot be opened or made; check that it is a file in a folder that may be written`;
  }
  if (/disk is full/.test(message)) return `the disk of ${file} is full; free some space`;
  if (/disk I\/O error/.test(message)) {
    return `the disk of ${file} can be read or written no more; look whether it is full or broken`;
  }
  return explainFile(error, dirname(path));
}
