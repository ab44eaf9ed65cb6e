/** What tells the results of one function from another's, and of one call from another's. */
import { hash } from "../codec/mod.ts";
import { makeFunctionName } from "../store/function_names.ts";
import { mentionsOuterThis } from "./outer_this.ts";

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
 * @param own The function's own name, where its `name` does not say it: a method's under which its
 * class has it, whatever other decorators have made of it.
 * @throws {TypeError} When there is no name and no source.
 */
export function functionSegment(
  fn: { readonly name: string },
  { name, version }: { name?: string; version?: string | number },
  own: string = fn.name,
): string {
  if (name !== undefined) return makeFunctionName(name, undefined, version);
  const source = sourceOf(fn);
  if (NATIVE.test(source)) {
    throw new TypeError(
      `Cannot tell ${
        nameFor(fn)
      } by its source, as it is bound or built in: give it a name ({ name: "…" })`,
    );
  }
  return makeFunctionName(own || "anonymous", hash(source), version);
}

/** A function in messages. */
function nameFor({ name }: { readonly name: string }): string {
  return name === "" ? "the function without a name" : `the function "${name}"`;
}

/**
 * Refuses an arrow function whose results depend on the `this` of the code around it, which can't
 * be told from its source, nor from how it is called.
 *
 * @throws {TypeError} When neither a name nor a key says whose results they are.
 */
export function refuseOuterThis(
  fn: AnyFunction,
  { name, key }: { name?: unknown; key?: unknown },
): void {
  if (name !== undefined || key !== undefined) return;
  const source = sourceOf(fn);
  if (!MENTIONS_RECEIVER.test(source) || !ARROW.test(source) || !mentionsOuterThis(source)) return;
  throw new TypeError(
    `Cannot tell whose results ${
      nameFor(fn)
    } gives: it is an arrow function that uses "this" of the code around it; make it a method or a function, or give it a name ({ name: "…" }) or a key`,
  );
}

/**
 * The class that a method belongs to, by an object that it is called on: the one that declares it,
 * so that an instance of a class derived from it counts as the same.
 *
 * @param isIt Whether what stands under the name is the method itself.
 * @returns `Class#name`, or `Class.name` of a static method.
 */
export function methodName(
  receiver: object,
  name: string,
  isIt: (value: unknown) => boolean,
): string {
  // Another decorator around this one may have hidden it: then the first class that has the name.
  let home: object | undefined;
  for (let at: object | null = receiver; at !== null; at = Object.getPrototypeOf(at)) {
    const property = Object.getOwnPropertyDescriptor(at, name);
    if (property === undefined) continue;
    home = at;
    if (isIt(property.value)) break;
  }
  home ??= receiver;
  return typeof home === "function"
    ? `${home.name}.${name}`
    : `${home.constructor?.name ?? ""}#${name}`;
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
