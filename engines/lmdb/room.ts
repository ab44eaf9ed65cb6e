/**
 * Space on the disk for what LMDB is about to write. When one of its commits meets a full disk,
 * npm:lmdb damages its own memory, which ends the process or keeps it waiting for ever. So the disk
 * is never full for LMDB: the data file is kept longer than what is used of it, by zeros that are
 * really there, and a write for which that is not enough is refused before it begins.
 */
import { getSystemErrorName } from "node:util";
import { errorCode } from "../../platform/errors.ts";
import { openFileSync, statSync, writeAllSync } from "../../platform/files.ts";

/** What a set leaves free, besides as much as it takes itself, up to so much: … */
const RESERVE = 512 * 1024;
const MOST_AGAIN = 1024 * 1024;
/**
 * … for databases that are made, and for sets in the place of what was removed, where LMDB does not
 * find all of that fit for use. These leave so much to removals; the more there is free, the less.
 */
const RESERVE_OF_REMOVALS = 256 * 1024;
const LEAST_RESERVE = 64 * 1024;
/** So many removals at once, and fewer, may go below that: they find room in what others freed. */
const FEW = 8;
/** How much longer the file is made at once. */
const STEP = 256 * 1024;
const ZEROS = new Uint8Array(64 * 1024);

/** Pages that a commit writes besides those of entries: branches, and what is known of free ones. */
const COMMIT_PAGES = 12;
/** A larger part of a page stands on pages of its own. */
const LONGEST_INLINE = 0.45;
/** Bytes by which LMDB knows a free page, and what it may leave unused beside them. */
const FREED_PAGE = 16;

/** What a write takes at most. */
export interface Need {
  /** Entries that are added, replaced or removed, in all databases. */
  readonly entries: number;
  /** The lengths of the records that are added. */
  readonly lengths?: Iterable<number>;
  /** Of what opens databases and makes them when absent: whether they are there. */
  areThere?(): boolean;
  /** Of what only removes: how many bytes at most. It is asked when there is not much room. */
  removed?(): number;
}

/** The system's codes of a disk that is full, or broken, and of a file that may not be longer. */
const NO_ROOM: readonly unknown[] = ["ENOSPC", "EDQUOT", "EFBIG", "EIO"];

/** There is no room for a write, and nothing of it was done. */
export class NoRoomError extends Error {
  /** `"NoRoomError"`. */
  override readonly name = "NoRoomError";
  /** The system's own: `"ENOSPC"`, … */
  readonly code: string | undefined;

  /** @param cause Why the file can't be longer. */
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    const number = /\(os error (\d+)\)/.exec(this.message)?.[1];
    // Of few errors has Deno the name.
    this.code = errorCode(cause) ?? (number && getSystemErrorName(-Number(number)));
  }
}

/** What there is of an environment. */
export interface Extent {
  /** Bytes of a page. */
  readonly pageSize: number;
  /** How many pages LMDB uses, or has used. */
  pages(): number;
  /** How many of these are free. */
  free(): number;
}

/** What is needed by writes together. */
class Sum {
  entries = 0;
  bytes = 0;

  add({ entries, bytes }: Sum, sign: 1 | -1 = 1): void {
    this.entries += sign * entries;
    this.bytes += sign * bytes;
  }
}

/** The room of one environment. */
export class Room {
  readonly #file: string;
  readonly #extent: Extent;
  /** The hold of the lock in which it was looked: other processes may have written before. */
  #hold: number | undefined;
  /** How long the file is at least: nobody makes it shorter. */
  #size = 0;
  /** Where what was used ended, when it was looked; … */
  #end = 0;
  #pages = 0;
  /** … what has been begun since, or was under way, … */
  readonly #since = new Sum();
  /** … and in how many commits. */
  #commits = 0;
  readonly #underWay = new Sum();

  /** @param file The data file. */
  constructor(file: string, extent: Extent) {
    this.#file = file;
    this.#extent = extent;
  }

  /** Something is about to be committed. */
  commits(): void {
    this.#commits++;
  }

  /**
   * Sees to it that there is room for a write.
   *
   * @param hold The number of the hold of the lock for writers.
   * @returns To be called when it has ended.
   * @throws {NoRoomError} When the disk has none.
   */
  take(need: Need, hold: number): () => void {
    const sum = this.#sumOf(need);
    const reserve = RESERVE + Math.min(sum.bytes, MOST_AGAIN);
    if (hold !== this.#hold) this.#look(hold);
    if (this.#left(sum) < reserve) {
      this.#size = statSync(this.#file).size;
      this.#look(hold);
      const missing = reserve - this.#left(sum);
      const error = missing > 0 ? this.#grow(missing + STEP) : undefined;
      if (error !== undefined && !this.#suffices(need, sum)) throw error;
    }
    this.#since.add(sum);
    this.#underWay.add(sum);
    return () => this.#underWay.add(sum, -1);
  }

  #sumOf({ entries, lengths = [] }: Need): Sum {
    const sum = new Sum();
    sum.entries = entries;
    const { pageSize } = this.#extent;
    for (const length of lengths) {
      // What stands among others leaves pages half full when they are divided.
      sum.bytes += length < LONGEST_INLINE * pageSize
        ? 2 * length
        : (Math.ceil(length / pageSize) + 1) * pageSize;
    }
    return sum;
  }

  /** What would be left of the room. */
  #left({ entries, bytes }: Sum): number {
    const { pageSize } = this.#extent;
    const all = this.#since.bytes + bytes;
    // Each page with one of the entries on it is written anew, in two parts if need be.
    const written = Math.min(2 * (this.#since.entries + entries), this.#pages + all / pageSize);
    return this.#size - this.#end - all - (written + (this.#commits + 1) * COMMIT_PAGES) * pageSize;
  }

  /** Whether a write does without a longer file. */
  #suffices(need: Need, sum: Sum): boolean {
    const left = this.#left(sum);
    if (need.removed !== undefined) {
      // What many removals would take at once, fewer can find in what those before them freed.
      const rest = sum.entries > FEW ? RESERVE_OF_REMOVALS : sum.entries > 1 ? LEAST_RESERVE : 0;
      return left >= rest && left - rest >= need.removed() / this.#extent.pageSize * FREED_PAGE;
    }
    if (need.areThere !== undefined) return left >= RESERVE_OF_REMOVALS || need.areThere();
    if (left < LEAST_RESERVE) return false;
    const free = this.#extent.free();
    const used = RESERVE_OF_REMOVALS * (1 - free / this.#pages);
    return left >= Math.max(used, LEAST_RESERVE) && free * this.#extent.pageSize >= 2 * sum.bytes;
  }

  #look(hold: number): void {
    this.#hold = hold;
    this.#pages = this.#extent.pages();
    this.#end = this.#pages * this.#extent.pageSize;
    this.#since.entries = this.#underWay.entries;
    this.#since.bytes = this.#underWay.bytes;
    // One may be under way.
    this.#commits = this.#underWay.entries > 0 ? 1 : 0;
  }

  /** Makes the file longer, as far as there is room; whether that was not all the way. */
  #grow(bytes: number): NoRoomError | undefined {
    try {
      // At its end, wherever that is by then: nothing that LMDB writes is overwritten.
      const file = openFileSync(this.#file, { append: true });
      try {
        for (let rest = bytes; rest > 0; rest -= ZEROS.length) {
          writeAllSync(file, ZEROS);
          this.#size += ZEROS.length;
        }
      } finally {
        file.close();
      }
    } catch (error) {
      this.#size = statSync(this.#file).size;
      const failure = new NoRoomError(error);
      // Where the file can't be made longer for another reason, LMDB has to see for itself.
      return NO_ROOM.includes(failure.code) ? failure : undefined;
    }
  }
}
