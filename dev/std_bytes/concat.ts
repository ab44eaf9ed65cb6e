/** One array of all the bytes, in order. */
export function concat(buffers: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(buffers.reduce((length, { byteLength }) => length + byteLength, 0));
  let offset = 0;
  for (const buffer of buffers) {
    result.set(buffer, offset);
    offset += buffer.byteLength;
  }
  return result;
}
