/** What tells the results of one function from another's, and of one call from another's. */
import { hash } from "../codec/mod.ts";

/** Any function, as it is called here. */
export type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

/** Bound functions, built-in ones and classes built in show no source. */
const NATIVE = /\{\s*\[native code\]\s*\}\s*$/;
const ARROW = /^(async\b\s*)?(\(|[\p{ID_Start}$_][\p{ID_Continue}$]*\s*=>)/u;
const MENTIONS_RECEIVER = /\b(this|super)\b/;

const originals = new WeakMap<object, AnyFunction>();

/**
 * Makes `wrapped` count as the function that it is around: its own source is that of all such
 * functions.
 */
export function wraps(wrapped: AnyFunction, fn: AnyFunction): void {
  originals.set(wrapped, originalOf(fn));
}

/** The function itself, or the one that it is around. */
export function originalOf(fn: AnyFunction): AnyFunction {
  return originals.get(fn) ?? fn;
}

function sourceOf(fn: object): string {
  return Function.prototype.toString.call(originals.get(fn) ?? fn);
}

/**
 * The name of the store of a function's results inside the stash: the given name, or the function's
 * own and a hash of its source; then the version.
 *
 * @throws {TypeError} When there is no name and no source.
 */
export function functionSegment(
  fn: { readonly name: string },
  { name, version }: { name?: string; version?: string | number },
): string {
  const suffix = version === undefined ? "" : `@${escape(String(version))}`;
  if (name !== undefined) return escape(name) + suffix;
  const source = sourceOf(fn);
  if (NATIVE.test(source)) {
    throw new TypeError(
      `Cannot tell the function "${fn.name}" by its source, as it is bound or built in: give it a name ({ name: "…" })`,
    );
  }
  return `${escape(fn.name || "anonymous")}~${hash(source).slice(0, 10)}${suffix}`;
}

/** One part of a dbname; `@` and `~` are ours, and what begins with a dot is the stash's own. */
function escape(text: string): string {
  const code = (character: string) => `%${character.codePointAt(0)!.toString(16).padStart(2, "0")}`;
  return text.toWellFormed().replace(/^\.|[%@~/\p{Cc}\ufffd]/gu, code);
}

/** Whether what the function does may depend on the object that it is called on. */
export function usesReceiver(fn: AnyFunction): boolean {
  const source = sourceOf(fn);
  return !ARROW.test(source) && MENTIONS_RECEIVER.test(source);
}

/**
 * What of an object counts in the key of a call of its method: the name of its class and its own
 * enumerable properties. A function among them counts by its name and source.
 */
export function receiverKey(receiver: object): Record<string, unknown> {
  const Class = typeof receiver === "function" ? receiver : receiver.constructor;
  // What a class has under symbols is the language's (`Symbol.metadata`).
  const state: Record<string, unknown> = typeof receiver === "function"
    ? Object.fromEntries(Object.entries(receiver))
    : { ...receiver };
  for (const [property, value] of Object.entries(state)) {
    if (typeof value === "function") state[property] = functionSegment(value, {});
  }
  return { [Class?.name ?? ""]: state };
}
