/**
 * Checks of `engineOptions`, the same for all engines: what is wrong is said when the engine is
 * made, and the message names the option and what it takes.
 */

/** Options as they come from the user. */
export type EngineOptions = Record<string, unknown>;

/**
 * Refuses options that the engine does not have.
 *
 * @throws {TypeError} When there is one; the message lists the valid ones.
 */
export function checkOptionNames(
  engine: string,
  options: EngineOptions,
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
 * The number in `options[name]`, or `undefined` when absent: an integer of at least `min`;
 * `Infinity` means absent.
 */
export function integerOption(
  engine: string,
  options: EngineOptions,
  name: string,
  min = 1,
): number | undefined {
  const value = options[name];
  if (value === undefined || value === Infinity) return undefined;
  if (typeof value !== "number") {
    throw new TypeError(`${of(engine, name)} must be a number, got ${typeName(value)}`);
  }
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(`${of(engine, name)} must be an integer of at least ${min}, got ${value}`);
  }
  return value;
}

/** The one of `choices` in `options[name]`, or `undefined` when absent. */
export function choiceOption<T extends string>(
  engine: string,
  options: EngineOptions,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  const choice = choices.find((choice) => choice === value);
  if (choice === undefined) {
    const got = typeof value === "string" ? `"${value}"` : typeName(value);
    throw new TypeError(`${of(engine, name)} must be one of ${choices.join(", ")}, got ${got}`);
  }
  return choice;
}

function of(engine: string, name: string): string {
  return `Option "${name}" of engine "${engine}"`;
}

function typeName(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}
