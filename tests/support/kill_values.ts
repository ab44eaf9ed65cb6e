/**
 * The values of the kill test: each says whose it is, and shows when a byte of it is not its own.
 */

/** How many entries are overwritten in turn. */
export const KILL_KEYS = 8;

const BYTES = 256 * 1024;

/** The value that the entry `index` gets at this count. */
export function killValue(index: number, counter: number): Uint8Array {
  const words = new Uint32Array(BYTES / 4);
  words[0] = index;
  words[1] = counter;
  for (let i = 2; i < words.length; i++) words[i] = Math.imul(counter + i, 2_654_435_761);
  return new Uint8Array(words.buffer);
}

/** The count of a whole value of the entry `index`; throws when it is not one. */
export function killCounter(index: number, value: Uint8Array): number {
  const bytes = new Uint8Array(value);
  if (bytes.byteLength !== BYTES) throw new Error(`${bytes.byteLength} bytes of ${BYTES}`);
  const counter = new Uint32Array(bytes.buffer)[1];
  const whole = killValue(index, counter);
  const wrong = bytes.findIndex((byte, i) => byte !== whole[i]);
  if (wrong >= 0) throw new Error(`Byte ${wrong} of count ${counter} is wrong`);
  return counter;
}
