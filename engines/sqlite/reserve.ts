import { isNotFound } from "../../platform/errors.ts";
import {
  FROM_START,
  giveMode,
  lstatSync,
  openFileSync,
  removeSync,
  statSync,
  writeAllSync,
} from "../../platform/files.ts";
import { isDiskFull } from "../file_failures.ts";
import type { SqlConnection, SqlStatement } from "./driver.ts";

/** The unit in which it grows, bytes. */
const STEP = 128 * 1024;
/** It grows no larger than this: values beyond it are rare, and it takes as long as to write them. */
const MAX = 32 * 1024 * 1024;
/** What a row needs at most besides its value: new pages of the table and its indexes. */
const ROW = 8 * 1024;

/**
 * Space on the disk for the day when it is full, in a file beside the database.
 *
 * What is written goes into the write-ahead log first, deletes too; and the log can be emptied only
 * when the database can take the pages that are new. On a full disk neither is possible, and nothing
 * could be removed any more. So this file is kept as large as the new pages in the log and a few
 * more: given back, it is just the space that the database needs, and then the log is free.
 */
export class Reserve {
  readonly #file: string;
  readonly #path: string;
  readonly #connection: SqlConnection;
  #size: SqlStatement | undefined;
  /** How many bytes may be written before a closer look. */
  #left = 0;

  constructor(file: string, connection: SqlConnection) {
    this.#file = file;
    this.#path = `${file}-reserve`;
    this.#connection = connection;
  }

  /**
   * Sees to it that a value of so many bytes can be written and the log emptied.
   *
   * @throws When the disk has no room for that.
   */
  prepare(bytes: number): void {
    this.#left -= bytes + ROW;
    if (this.#left >= 0) return;
    try {
      this.#grow(bytes);
    } catch (error) {
      if (!isDiskFull(error)) {
        // Another user's, say: it has to go without.
        this.#left = MAX;
        return;
      }
      this.giveUp();
      this.#grow(bytes);
    }
  }

  /** Gives the space back and empties the log into the database. */
  giveUp(): void {
    this.remove();
    this.#connection.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
  }

  /** Closes the connection; the last one that is closed needs no reserve any more. */
  close(): void {
    try {
      try {
        this.#connection.prepare("PRAGMA wal_checkpoint(PASSIVE)").all();
      } catch (error) {
        if (isDiskFull(error)) this.giveUp();
      }
    } catch (error) {
      // What is in the log stays there, for who opens it next.
      if (!isDiskFull(error)) throw error;
    } finally {
      this.#connection.close();
    }
    if (sizeOf(`${this.#file}-wal`) === 0) this.remove();
  }

  /** Gives the space back; the next value takes it again. */
  remove(): void {
    this.#left = 0;
    try {
      removeSync(this.#path);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  #grow(bytes: number): void {
    const size = sizeOf(this.#path);
    // Somebody put something else there.
    if (size === undefined) return;
    const news = Math.max(0, this.#pages() - statSync(this.#file).size);
    // For a few more of the same size, so that not every one costs a look.
    const wanted = Math.min(MAX, STEP * Math.ceil((news + 4 * bytes + STEP) / STEP));
    if (size < wanted) this.#write(size, wanted);
    this.#left = Math.max(size, wanted) - news - bytes;
  }

  #write(from: number, to: number): void {
    // No zeros: there are disks that would keep them in no space at all.
    const block = crypto.getRandomValues(new Uint8Array(STEP / 2));
    const isNew = from === 0;
    const file = openFileSync(this.#path, { write: true, create: true, mode: 0o600 });
    try {
      // Whoever may write the database may write this too.
      const { mode } = statSync(this.#file);
      if (isNew && mode !== null) giveMode(this.#path, mode & 0o777);
      // Another process may have given it up a moment ago.
      const begin = Math.min(file.statSync().size, from);
      file.seekSync(begin, FROM_START);
      for (let at = begin; at < to; at += block.byteLength) writeAllSync(file, block);
    } finally {
      file.close();
    }
  }

  /** How many bytes the database has with all that is in the log. */
  #pages(): number {
    this.#size ??= this.#connection.prepare(
      "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    );
    return Number(this.#size.get()?.[0]);
  }
}

/** The size of a file, 0 when it is absent; `undefined` of anything else. */
function sizeOf(path: string): number | undefined {
  try {
    const { isFile, size } = lstatSync(path);
    return isFile ? size : undefined;
  } catch (error) {
    if (isNotFound(error)) return 0;
    throw error;
  }
}
