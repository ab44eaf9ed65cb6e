/**
 * What our SQL needs of an SQLite library, so that `node:sqlite` and `@db/sqlite` do the same job
 * on the same files. Rows are arrays: they are cheaper than objects in both.
 */

/** What a column holds. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** A prepared statement. */
export interface SqlStatement {
  /** The first row, or `undefined`. */
  get(...params: SqlValue[]): SqlValue[] | undefined;
  /** All rows. */
  all(...params: SqlValue[]): SqlValue[][];
  /** How many rows an INSERT, UPDATE or DELETE changed. */
  run(...params: SqlValue[]): number;
}

/** An open database. */
export interface SqlConnection {
  /**
   * Makes a statement of one SQL sentence.
   *
   * @param options.wide The rows may hold integers beyond 2^53, which come as bigints. Without it
   * they may be an error.
   */
  prepare(sql: string, options?: { wide?: boolean }): SqlStatement;
  /** Runs sentences that return nothing of interest. */
  exec(sql: string): void;
  /** Closes the database and its statements. */
  close(): void;
}

/** How a database is opened. */
export interface ConnectOptions {
  /**
   * How long SQLite itself waits, in the middle of a call and with it the event loop, for another
   * process to end its transaction, ms. The longer wait is ours: see `whenFree`.
   */
  readonly busyTimeout: number;
  /**
   * What may be done: everything, by default; only reading; only reading of a file that nobody can
   * change meanwhile, which needs no other file beside it.
   */
  readonly access?: Access;
}

/** What a connection may do. */
export type Access = "write" | "read" | "immutable";

/** An SQLite library. */
export interface SqlDriver {
  /** Its package. */
  readonly name: DriverName;
  /** Opens a database file; one that may be written is made when absent. */
  connect(path: string, options: ConnectOptions): SqlConnection;
}

/** The package names of the libraries. */
export type DriverName = "@db/sqlite" | "node:sqlite";
