/** The built-in error classes: what is stored of an error, and how one is made again. */

/** Properties that the constructors set, hidden from enumeration. */
const HIDDEN: readonly string[] = ["message", "cause", "errors", "error", "suppressed"];

type ErrorClass = (new (...args: never[]) => Error) & { readonly name: string };

const CLASSES: ErrorClass[] = [
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  AggregateError,
  // Node 22 has none.
  ...typeof SuppressedError === "undefined" ? [] : [SuppressedError],
];
const byPrototype = new Map<object, ErrorClass>(CLASSES.map((Class) => [Class.prototype, Class]));
const byName = new Map<string, ErrorClass>(CLASSES.map((Class) => [Class.name, Class]));

/** The name of the built-in error class with this prototype. */
export function errorName(prototype: object): string | undefined {
  return byPrototype.get(prototype)?.name;
}

/** The names of the hidden properties that this error has. */
export function hiddenProperties(error: object): string[] {
  return HIDDEN.filter((name) =>
    Object.hasOwn(error, name) && !Object.prototype.propertyIsEnumerable.call(error, name)
  );
}

/** Whether errors have hidden properties of this name. */
export function isHidden(name: unknown): boolean {
  return HIDDEN.some((hidden) => hidden === name);
}

/**
 * An error of the class, with no property but a message; `undefined` when there is no such class.
 */
export function makeError(name: string, message: string | undefined): Error | undefined {
  const Class = byName.get(name);
  if (Class === undefined) return undefined;
  // No stack: the error did not happen here.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return Reflect.construct(Error, message === undefined ? [] : [message], Class);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
