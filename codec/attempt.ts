import type { Awaitable } from "../platform/awaitable.ts";
import { DecodeError } from "./errors.ts";
import { LibraryError } from "../platform/library.ts";

/** Runs a decoder; what it throws, at once or later, becomes a `DecodeError` with the message. */
export function attempt<T>(message: string, decode: () => Awaitable<T>): Awaitable<T> {
  const fail = (cause: unknown): never => {
    // A library that cannot be loaded says nothing about the bytes.
    if (cause instanceof DecodeError || cause instanceof LibraryError) throw cause;
    throw new DecodeError(message, { cause });
  };
  try {
    const result = decode();
    return result instanceof Promise ? result.catch(fail) : result;
  } catch (cause) {
    return fail(cause);
  }
}
