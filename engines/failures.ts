import { EngineError } from "./errors.ts";

/** What an operation of an engine does, for messages. */
const DOING: Record<string, string> = {
  open: "open",
  close: "close",
  get: "get entry in",
  getMany: "get entries in",
  has: "look for entry in",
  set: "set entry in",
  setMany: "set entries in",
  delete: "delete entry in",
  deleteMany: "delete entries in",
  compareAndSet: "change entry in",
  keys: "list keys of",
  entries: "list entries of",
  size: "count entries in",
  clear: "clear",
  prune: "prune",
  check: "check",
  byteSize: "measure",
};

/** The error for an operation that the backend failed: `Cannot get entry in engine "redis": …`. */
export function engineError(
  engine: string,
  operation: string,
  because: string,
  cause: unknown,
): EngineError {
  const message = `Cannot ${DOING[operation] ?? operation} engine "${engine}": ${because}`;
  return new EngineError(message, { engine, operation, cause });
}

/** What an error says, without a full stop at the end. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
}
