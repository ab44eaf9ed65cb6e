/** A value as a tree to open and close. All of it is text; no code of the value's runs. */
import { showKey, showText } from "../store/show.ts";
import { type Html, markup } from "./html.ts";
import { bytesOf } from "./texts.ts";
import { count, shortened, size } from "./words.ts";

/** Parts of a value that are shown, all in all … */
const MOST_NODES = 4_000;
/** … of one array, object, Map or Set … */
const MOST_CHILDREN = 200;
/** … and how deep. */
const DEEPEST = 60;
/** Levels that are open at first. */
const OPEN = 2;
/** Characters of a text that are shown … */
const LONGEST = 100_000;
/** … and on one line. */
const LINE = 300;

interface Progress {
  left: number;
  /** Where each object was first shown: it may come again, also inside itself. */
  readonly seen: Map<object, string>;
}

/** A part with its name in what it is part of. */
interface Child {
  readonly name: string;
  readonly path: string;
  readonly value: unknown;
  /** The key of a Map that is no simple value. */
  readonly key?: { readonly value: unknown };
}

/** The tree of a value. */
export function tree(value: unknown): Html {
  const progress: Progress = { left: MOST_NODES, seen: new Map() };
  return markup`<div class="tree">${node(undefined, value, "$", 0, progress)}</div>`;
}

function node(
  name: Html | undefined,
  value: unknown,
  path: string,
  level: number,
  progress: Progress,
): Html {
  progress.left--;
  const label = name && markup`<span class="name">${name}</span> `;
  if (typeof value === "string") return text(label, value);
  const simple = leaf(value);
  if (simple !== undefined) return markup`<div class="leaf">${label}${simple}</div>`;
  const object = value as object;
  const before = progress.seen.get(object);
  if (before !== undefined) {
    return markup`<div class="leaf">${label}<span class="same">the same as ${
      shortened(before, LINE)
    }</span></div>`;
  }
  progress.seen.set(object, path);
  const { type, length, children } = partsOf(object, path);
  const head = markup`${label}<span class="type">${type}</span>`;
  if (length === 0) return markup`<div class="leaf">${head} <span class="dim">empty</span></div>`;
  if (level >= DEEPEST) {
    return markup`<div class="leaf">${head} <span class="dim">deeper than is shown</span></div>`;
  }
  const inside: Html[] = [];
  let shown = 0;
  for (const child of children()) {
    if (shown >= MOST_CHILDREN || progress.left <= 0) break;
    shown++;
    inside.push(childNode(child, level + 1, progress));
  }
  const rest = length - shown;
  return markup`<details${level < OPEN && markup` open`}><summary>${head} <span class="dim">${
    count(length)
  }</span></summary><div class="inside">${inside}${
    rest > 0 && markup`<div class="leaf dim">… ${count(rest)} more</div>`
  }</div></details>`;
}

function childNode({ name, path, value, key }: Child, level: number, progress: Progress): Html {
  const label = markup`${shortened(name, LINE)}`;
  if (key === undefined) return node(label, value, path, level, progress);
  const parts = [
    node(markup`key`, key.value, `${path}.key`, level + 1, progress),
    node(markup`value`, value, `${path}.value`, level + 1, progress),
  ];
  return markup`<details><summary><span class="name">${label}</span></summary>
<div class="inside">${parts}</div></details>`;
}

function text(label: Html | undefined, value: string): Html {
  const line = showText(JSON.stringify(shortened(value, LINE)));
  const short = markup`${label}<span class="string">${line}</span>`;
  if (value.length <= LINE && !value.includes("\n")) {
    return markup`<div class="leaf">${short}</div>`;
  }
  return markup`<details class="long"><summary>${short} <span class="dim">${
    count(value.length)
  } characters</span></summary>${textBlock(value)}</details>`;
}

/** A long text on its lines. */
export function textBlock(value: string): Html {
  const lines = value.slice(0, LONGEST).split("\n").map(showText).join("\n");
  const rest = value.length - LONGEST;
  return markup`<pre class="text">${lines}</pre>${
    rest > 0 && markup`<p class="dim">… ${count(rest)} more characters</p>`
  }`;
}

/** What has no parts that are shown; `undefined` for the rest. */
function leaf(value: unknown): Html | undefined {
  const simple = (kind: string, text: string) =>
    markup`<span class="${kind}">${showText(shortened(text, LINE))}</span>`;
  switch (typeof value) {
    case "number":
      return simple("number", Object.is(value, -0) ? "-0" : String(value));
    case "bigint":
      return simple("number", `${value}n`);
    case "object":
      break;
    default:
      return simple("word", String(value));
  }
  if (value === null) return simple("word", "null");
  const bytes = bytesOf(value);
  if (bytes !== undefined) {
    return markup`<span class="type">${typeName(value)}</span> ${
      simple("dim", `${size(bytes.length)}  ${preview(bytes)}`)
    }`;
  }
  if (value instanceof Date) {
    const time = value.getTime();
    const when = Number.isNaN(time) ? "invalid" : value.toISOString();
    return markup`<span class="type">Date</span> ${simple("number", when)}`;
  }
  if (value instanceof RegExp) {
    return markup`<span class="type">RegExp</span> ${simple("string", String(value))}`;
  }
  if (value instanceof URL) {
    return markup`<span class="type">URL</span> ${simple("string", value.href)}`;
  }
}

function preview(bytes: Uint8Array): string {
  const first = Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0"));
  return first.join(" ") + (bytes.length > 16 ? " …" : "");
}

/** The name of the class; no getter of it is called. */
function typeName(value: object): string {
  const prototype: object | null = Object.getPrototypeOf(value);
  if (prototype === null) return "Object without prototype";
  const made = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
  const name = typeof made === "function" && Object.getOwnPropertyDescriptor(made, "name")?.value;
  return typeof name === "string" && name !== "" ? name : "Object";
}

/** The parts of an object, lazily: it may have millions. */
function partsOf(
  object: object,
  path: string,
): { type: string; length: number; children(): Iterable<Child> } {
  const type = typeName(object);
  if (Array.isArray(object)) {
    return { type, length: object.length, children: () => itemsOf(object, path) };
  }
  if (object instanceof Map) {
    return { type, length: object.size, children: () => pairsOf(object, path) };
  }
  if (object instanceof Set) {
    return { type, length: object.size, children: () => membersOf(object, path) };
  }
  const hidden = object instanceof Error
    ? ["message", "cause", "errors"].filter((name) => Object.hasOwn(object, name))
    : [];
  const names = [...new Set([...hidden, ...Object.keys(object)])];
  return { type, length: names.length, children: () => propertiesOf(object, names, path) };
}

function* itemsOf(array: unknown[], path: string): Iterable<Child> {
  for (let i = 0; i < array.length; i++) {
    if (i in array) yield { name: String(i), path: `${path}[${i}]`, value: array[i] };
    else yield { name: `${i} (a hole)`, path, value: undefined };
  }
}

function* pairsOf(map: Map<unknown, unknown>, path: string): Iterable<Child> {
  let i = 0;
  for (const [key, value] of map) {
    const at = `${path}(${i++})`;
    if (typeof key === "object" && key !== null) {
      yield { name: `pair ${i}`, path: at, value, key: { value: key } };
    } else {
      // "5" and 5 are two keys.
      const name = typeof key === "string" ? showText(JSON.stringify(key)) : showKey(key);
      yield { name, path: at, value };
    }
  }
}

function* membersOf(set: Set<unknown>, path: string): Iterable<Child> {
  let i = 0;
  for (const value of set) yield { name: String(i), path: `${path}(${i++})`, value };
}

function* propertiesOf(object: object, names: string[], path: string): Iterable<Child> {
  for (const name of names) {
    const property = Object.getOwnPropertyDescriptor(object, name);
    const value = property !== undefined && "value" in property ? property.value : undefined;
    yield { name: showKey(name), path: `${path}.${shortened(name, LINE)}`, value };
  }
}
