import { concat } from "@std/bytes/concat";

/** The longest content that is compressed: 1 GiB. Longer content is stored as it is. */
export const MAX_CONTENT = 2 ** 30;

/**
 * Content up to this length is compressed and decompressed at once; longer content in pieces, with
 * turns of the event loop in between.
 */
export const SYNC_CONTENT = 256 * 1024;

/** Collects output that comes in pieces. */
export interface Gathering {
  /** Takes the next piece, an array that is not written to afterwards. */
  add(piece: Uint8Array): void;
  /** All pieces in one array. */
  whole(): Uint8Array;
}

/** Pieces whose total length is not known. */
export class Pieces implements Gathering {
  readonly #pieces: Uint8Array[] = [];

  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
  }

  whole(): Uint8Array {
    return concat(this.#pieces);
  }
}

/** Pieces of at most so many bytes in total; how many there are comes out at the end. */
export class LimitedPieces extends Pieces {
  /** How many more bytes it takes. */
  left: number;
  readonly #tooMany: () => Error;

  constructor(max: number, tooMany: () => Error) {
    super();
    this.left = max;
    this.#tooMany = tooMany;
  }

  override add(piece: Uint8Array): void {
    this.left -= piece.length;
    if (this.left < 0) throw this.#tooMany();
    super.add(piece);
  }
}

/** Pieces of at most so many bytes in total. The memory is taken at once, and filled bit by bit. */
export class Content implements Gathering {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(length: number) {
    this.#bytes = new Uint8Array(length);
  }

  add(piece: Uint8Array): void {
    if (this.#at + piece.length > this.#bytes.length) {
      throw new RangeError(`The content is longer than ${this.#bytes.length} bytes`);
    }
    this.#bytes.set(piece, this.#at);
    this.#at += piece.length;
  }

  /** How many more bytes it takes. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  whole(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }
}
