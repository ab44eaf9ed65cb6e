/** What a page may change when the inspector was made with `write`: edit a value, delete a key. */
import { DecodeError } from "../codec/errors.ts";
import { messageOf } from "../engines/errors.ts";
import { opened, type StoredEntry } from "../store/header.ts";
import { type Handles, type Inspected, stateOf } from "./inspected.ts";
import { editText, valueOfText } from "./texts.ts";

/** A page's request is no longer. */
const LONGEST_BODY = 2_000_000;

/** What a page sends. */
interface Change {
  readonly store: string;
  /** The canonical text of the key. */
  readonly key: string;
  /** The state in which the page has shown the entry. */
  readonly was: string;
  /** The new value as JSON; absent for a delete. */
  readonly json?: string;
}

/** The change can't be made; the message says why. */
class Refused extends Error {
  override readonly name = "Refused";
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

const CHANGED =
  "It has changed or gone since this page was made, so nothing was done: look at it again";

/** Makes the change that a request asks for. */
export async function change(
  inspected: Inspected,
  action: "set" | "delete",
  request: Request,
): Promise<Response> {
  try {
    const wanted = await changeOf(request);
    const handles = await inspected.store(wanted.store);
    if (handles === undefined) throw new Refused(404, "There is no such store any more");
    if (action === "delete") await remove(handles, wanted);
    else await edit(handles, wanted);
    return answer(200, action === "delete" ? "Deleted" : "Saved");
  } catch (error) {
    if (error instanceof Refused) return answer(error.status, error.message);
    throw error;
  }
}

async function remove({ writer }: Handles, { key, was }: Change): Promise<void> {
  // What others write between the look at it and now is not removed.
  const isRemoved = await writer.deleteUnchanged(key, (entry) => checkState(entry, was));
  if (!isRemoved) throw new Refused(409, CHANGED);
}

async function edit({ reader, writer }: Handles, { key, was, json = "" }: Change): Promise<void> {
  const next = await parse(json);
  const entry = await reader.getEntry(key);
  if (entry === undefined) throw new Refused(409, CHANGED);
  checkState(entry, was);
  const before = await editText(await reader.read(opened(entry), key));
  const { expiresAt } = entry;
  // Its deadline stays, also where the stash would give it another.
  const times = expiresAt === undefined ? { ttl: Infinity } : { expiresAt };
  await writer.modify(key, async (current) => {
    // Nor is it overwritten.
    if (before === undefined || await editText(current) !== before) throw new Refused(409, CHANGED);
    return next;
  }, times);
}

function checkState(entry: StoredEntry, was: string): void {
  if (stateOf(entry) !== was) throw new Refused(409, CHANGED);
}

async function parse(json: string): Promise<unknown> {
  try {
    const value = await valueOfText(json);
    if (value === undefined) {
      throw new Refused(400, "A value can't be made undefined here: delete it");
    }
    return value;
  } catch (error) {
    const isText = [SyntaxError, RangeError, DecodeError].some((kind) => error instanceof kind);
    if (isText) throw new Refused(400, `This is not JSON: ${messageOf(error)}`);
    throw error;
  }
}

async function changeOf(request: Request): Promise<Change> {
  // Which a form of another site can't send.
  if (!/^application\/json\b/.test(request.headers.get("content-type") ?? "")) {
    throw new Refused(415, "Expected a body of type application/json");
  }
  let body: unknown;
  try {
    body = JSON.parse(await textOf(request));
  } catch (error) {
    if (error instanceof SyntaxError) throw new Refused(400, "The body is not JSON");
    throw error;
  }
  const { store, key, was, json } = Object(body) as Partial<Record<keyof Change, unknown>>;
  const isText = (value: unknown) => typeof value === "string";
  if (isText(store) && isText(key) && isText(was) && (json === undefined || isText(json))) {
    return { store, key, was, json } as Change;
  }
  throw new Refused(400, "Expected store, key and was in the body, and json for a new value");
}

async function textOf(request: Request): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of request.body ?? []) {
    text += decoder.decode(piece, { stream: true });
    if (text.length > LONGEST_BODY) {
      throw new Refused(413, "The value is too long to be edited here");
    }
  }
  return text + decoder.decode();
}

function answer(status: number, message: string): Response {
  return new Response(`${message}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}
