/** What bytes can be written to; `write` says how many of them it took. */
export interface Writer {
  write(p: Uint8Array): Promise<number>;
}

/** {@linkcode Writer}, synchronously. */
export interface WriterSync {
  writeSync(p: Uint8Array): number;
}

/** Writes until all bytes are written. */
export async function writeAll(writer: Writer, data: Uint8Array): Promise<void> {
  for (let done = 0; done < data.length;) done += await writer.write(data.subarray(done));
}

/** {@linkcode writeAll}, synchronously. */
export function writeAllSync(writer: WriterSync, data: Uint8Array): void {
  for (let done = 0; done < data.length;) done += writer.writeSync(data.subarray(done));
}
