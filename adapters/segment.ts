/**
 * The name of a stash inside another for any text: percent-encoded, so that no two texts share one.
 * A lone surrogate, which `encodeURIComponent` refuses, is encoded as the three bytes that UTF-8
 * would have for it.
 */
export function segmentOf(text: string): string {
  return text.split(/(\p{Surrogate})/u).map((part) => {
    const code = part.charCodeAt(0);
    if (part.length !== 1 || code < 0xD800 || code > 0xDFFF) return encodeURIComponent(part);
    const bytes = [0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F];
    return bytes.map((byte) => `%${byte.toString(16).toUpperCase()}`).join("");
  }).join("");
}
