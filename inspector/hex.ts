/** Bytes as people look at them. */

/** Bytes on a line. */
const WIDTH = 16;

/** Lines of an offset, 16 bytes and what they are in ASCII. */
export function hexLines(bytes: Uint8Array, from = 0): string[] {
  const lines: string[] = [];
  for (let i = 0; i < bytes.length; i += WIDTH) {
    const line = bytes.subarray(i, i + WIDTH);
    const pairs = Array.from(line, (byte) => byte.toString(16).padStart(2, "0"));
    const [left, right] = [pairs.slice(0, 8).join(" "), pairs.slice(8).join(" ")];
    const ascii = Array.from(
      line,
      (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·",
    );
    const offset = (from + i).toString(16).padStart(8, "0");
    lines.push(`${offset}  ${left.padEnd(23)}  ${right.padEnd(23)}  ${ascii.join("")}`);
  }
  return lines;
}

/** Raster pictures that a browser shows, by how they begin. SVG is none: it is a document. */
const PICTURES: Record<string, RegExp> = {
  "image/png": /^\x89PNG\r\n/,
  "image/jpeg": /^\xff\xd8\xff/,
  "image/gif": /^GIF8[79]a/,
  "image/webp": /^RIFF[^]{4}WEBP/,
  "image/avif": /^[^]{4}ftypavi[fs]/,
  "image/bmp": /^BM[^]{4}\0{4}/,
};

/** The type of the picture that bytes are; `undefined` when they are none. */
export function pictureType(bytes: Uint8Array): string | undefined {
  const beginning = String.fromCharCode(...bytes.subarray(0, 16));
  return Object.keys(PICTURES).find((type) => PICTURES[type].test(beginning));
}
