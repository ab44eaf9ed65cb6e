import process from "node:process";

/** The SHA-256 of a text's UTF-8 bytes, hex. */
export function sha256(text: string): string {
  // Loaded here and not above: node:crypto costs start-up time, and most names and keys don't need
  // it.
  const { createHash } = process.getBuiltinModule("node:crypto");
  return createHash("sha256").update(text).digest("hex");
}
