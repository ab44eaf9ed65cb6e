/**
 * The longest content that is compressed: 1 GiB. Longer content is stored as it is, and a frame that claims more (a
 * decompression bomb) is refused before anything is decompressed.
 */
export const MAX_CONTENT = 2 ** 30;

/** Content up to this length is compressed and decompressed at once; longer content in pieces, with turns of the event loop in between. */
export const SYNC_CONTENT = 256 * 1024;

/** How long work goes on before the event loop gets a turn, in ms. */
const SLICE = 4;

/** Lets the event loop have its turn from time to time. */
export class Slices {
  #since = performance.now();

  /** Resolves at once, or after a turn of the event loop when the time is up. */
  async pause(): Promise<void> {
    if (performance.now() - this.#since < SLICE) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }
}

/** What comes out piece by piece, in one array at the end. */
export class Pieces {
  readonly #pieces: Uint8Array[] = [];
  #length = 0;

  /** Adds a piece; the array must not be written to afterwards. */
  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#length += piece.length;
  }

  /** Their bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** A copy of all. */
  whole(): Uint8Array {
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}
