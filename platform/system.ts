import type Process from "node:process";
import { deno, runtime, type RuntimeName } from "./runtime.ts";

/**
 * Node's `process`, which is loaded only now: that takes 12 ms, of the 55 ms between the start of a
 * program and its first `get` from memory.
 */
export function nodeProcess(): typeof Process {
  return Reflect.get(globalThis, "process");
}

/** The operating system: `"linux"`, `"darwin"`, `"windows"`, … */
export function os(): string {
  if (deno) return deno.build.os;
  const { platform } = nodeProcess();
  return platform === "win32" ? "windows" : platform;
}

const ARCHITECTURES: Record<string, string> = { x64: "x86_64", arm64: "aarch64" };

/** The processor's kind: `"x86_64"`, `"aarch64"`. */
export function arch(): string {
  if (deno) return deno.build.arch;
  const { arch } = nodeProcess();
  return ARCHITECTURES[arch] ?? arch;
}

/** The runtime's name. */
export function runtimeName(): RuntimeName {
  return runtime;
}

/** The runtime's version: `"2.9.6"`. */
export function runtimeVersion(): string {
  return deno?.version.deno ?? nodeProcess().versions.bun ?? nodeProcess().versions.node;
}

/** How many processors there are. */
export function cpuCount(): number {
  return navigator.hardwareConcurrency;
}

/** A variable of the environment; needs the permission to read it. */
export function env(variable: string): string | undefined {
  return deno ? deno.env.get(variable) : nodeProcess().env[variable];
}

/** Does something when the program ends by itself or by `exit`; it can't wait for anything. */
export function beforeExit(action: () => void): void {
  nodeProcess().on("exit", action);
}

/** Something that a program may be allowed to do: all of it, or with one thing only. */
export type Permission =
  | { name: "read" | "write" | "net" }
  | { name: "env"; variable?: string };

/** Whether the program may do all that without asking anybody. In Node and Bun nobody asks. */
export function isGranted(...permissions: Permission[]): boolean {
  return permissions.every((permission) =>
    deno === undefined || deno.permissions.querySync(permission).state === "granted"
  );
}

/** How `inspect` shows a value. */
export interface InspectOptions {
  /** How many levels of it. */
  depth?: number;
  /** On as few lines as possible. */
  compact?: boolean;
  /** How long a line may be. */
  breakLength?: number;
  /** How many items of an array, a map or a set. */
  iterableLimit?: number;
  /** How many characters of a string in it. */
  strAbbreviateSize?: number;
}

/** A value as a person reads it. */
export function inspect(value: unknown, options: InspectOptions = {}): string {
  if (deno) return deno.inspect(value, options);
  const { iterableLimit: maxArrayLength, strAbbreviateSize: maxStringLength, ...others } = options;
  // Not in the other quotes, which Node prefers.
  if (typeof value === "string") return quoted(value, maxStringLength);
  return builtinModule("node:util").inspect(value, { ...others, maxArrayLength, maxStringLength });
}

function quoted(text: string, longest = Infinity): string {
  if (text.length <= longest) return JSON.stringify(text);
  return `${JSON.stringify(text.slice(0, longest))}... ${text.length - longest} more characters`;
}

/**
 * Gives one of Node's modules, which is loaded only now: `node:crypto` and `node:zlib` take 27 ms,
 * which a program that never needs them should not pay.
 */
export const builtinModule: typeof Process.getBuiltinModule = (id: string) =>
  nodeProcess().getBuiltinModule(id);

// By an import, as `builtinModule` would have to load `process` first.
export { channel } from "node:diagnostics_channel";
