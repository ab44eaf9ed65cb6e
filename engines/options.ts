/**
 * Checks of `engineOptions`, the same for all engines: what is wrong is said when the engine is
 * made, and the message names the option and what it takes.
 */

/** Options as they come from the user. */
export type EngineOptions = Record<string, unknown>;

/**
 * Refuses options that the engine does not have.
 *
 * @param engine The engine's name.
 * @param options What the stash was given as `engineOptions`.
 * @param valid The names that there are.
 * @throws {TypeError} When there is another; the message lists the valid ones.
 *
 * @example
 * ```ts
 * import { checkOptionNames } from "@hashstash/hashstash/engines";
 *
 * checkOptionNames("mine", { path: "x" }, ["path", "limit"]); // throws on anything else
 * ```
 */
export function checkOptionNames(
  engine: string,
  options: object,
  valid: readonly string[],
): void {
  for (const name of Object.keys(options)) {
    if (valid.includes(name)) continue;
    throw new TypeError(
      `Unknown option "${name}" of engine "${engine}": ` +
        (valid.length === 0 ? "it has none" : `the valid ones are ${valid.join(", ")}`),
    );
  }
}

/**
 * The number in `options[name]`, or `undefined` when absent; `Infinity` means absent.
 *
 * @param engine The engine's name.
 * @param options What the stash was given as `engineOptions`.
 * @param name The option's name.
 * @param min The least that it may be.
 * @throws {TypeError} When it is not a number.
 * @throws {RangeError} When it is not an integer of at least `min`.
 *
 * @example
 * ```ts
 * import { integerOption } from "@hashstash/hashstash/engines";
 *
 * console.log(integerOption("mine", { limit: 5 }, "limit") ?? 100); // 5
 * ```
 */
export function integerOption(
  engine: string,
  options: object,
  name: string,
  min = 1,
): number | undefined {
  const value: unknown = Reflect.get(options, name);
  if (value === undefined || value === Infinity) return undefined;
  if (typeof value !== "number") {
    throw new TypeError(`${of(engine, name)} must be a number, got ${typeName(value)}`);
  }
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(`${of(engine, name)} must be an integer of at least ${min}, got ${value}`);
  }
  return value;
}

/**
 * The one of `choices` in `options[name]`, or `undefined` when absent.
 *
 * @param engine The engine's name.
 * @param options What the stash was given as `engineOptions`.
 * @param name The option's name.
 * @param choices What it may be.
 * @throws {TypeError} When it is none of them.
 *
 * @example
 * ```ts
 * import { choiceOption } from "@hashstash/hashstash/engines";
 *
 * console.log(choiceOption("mine", { order: "age" }, "order", ["age", "size"])); // age
 * ```
 */
export function choiceOption<T extends string>(
  engine: string,
  options: object,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value: unknown = Reflect.get(options, name);
  if (value === undefined) return undefined;
  const choice = choices.find((choice) => choice === value);
  if (choice === undefined) {
    const got = typeof value === "string" ? `"${value}"` : typeName(value);
    throw new TypeError(`${of(engine, name)} must be one of ${choices.join(", ")}, got ${got}`);
  }
  return choice;
}

/**
 * The boolean in `options[name]`, or `false` when absent.
 *
 * @throws {TypeError} When it is something else.
 */
export function booleanOption(engine: string, options: EngineOptions, name: string): boolean {
  const value = options[name] ?? false;
  if (typeof value === "boolean") return value;
  throw new TypeError(`${of(engine, name)} must be a boolean, got ${typeName(value)}`);
}

/** The mode of files by default: their owner's alone. */
const MODE = 0o600;

/**
 * `engineOptions.mode`: the mode of the files that an engine makes; `folderMode` is that of the
 * folders.
 *
 * @throws {TypeError | RangeError} When it is not a mode that lets its owner read and write.
 */
export function modeOption(engine: string, { mode = MODE }: EngineOptions): number {
  const what = of(engine, "mode");
  if (typeof mode !== "number") {
    throw new TypeError(`${what} must be a number such as 0o600, got ${typeName(mode)}`);
  }
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o777 || (mode & MODE) !== MODE) {
    const got = Number.isInteger(mode) && mode >= 0 ? `0o${mode.toString(8)}` : mode;
    throw new RangeError(`${what} must be from 0o600 to 0o777, with 0o600 in it, got ${got}`);
  }
  return mode;
}

function of(engine: string, name: string): string {
  return `Option "${name}" of engine "${engine}"`;
}

function typeName(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}
