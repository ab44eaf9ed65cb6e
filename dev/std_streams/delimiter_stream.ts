import { concat } from "@std/bytes";

/** Where a delimiter goes: to the end of the piece before it, to the start of the next, nowhere. */
export type DelimiterDisposition = "suffix" | "prefix" | "discard";

/** Options of {@linkcode DelimiterStream}. */
export interface DelimiterStreamOptions {
  /** Only `"discard"`, the default, is known here. */
  disposition?: DelimiterDisposition;
}

/** Bytes in any pieces to those between delimiters; what follows the last one comes too. */
export class DelimiterStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(delimiter: Uint8Array, options: DelimiterStreamOptions = {}) {
    if (delimiter.length !== 1 || (options.disposition ?? "discard") !== "discard") {
      throw new TypeError("Only a delimiter of one byte that is discarded is known here");
    }
    let parts: Uint8Array[] = [];
    super({
      transform(chunk, controller) {
        let start = 0;
        for (let end; (end = chunk.indexOf(delimiter[0], start)) >= 0; start = end + 1) {
          controller.enqueue(concat([...parts, chunk.subarray(start, end)]));
          parts = [];
        }
        if (start < chunk.length) parts.push(chunk.subarray(start));
      },
      flush(controller) {
        controller.enqueue(concat(parts));
      },
    });
  }
}
