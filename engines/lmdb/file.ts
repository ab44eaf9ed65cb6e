/**
 * A look at an LMDB data file without LMDB, which trusts what it maps into memory: a file of
 * another format, one that was truncated, or a damaged page makes it end the process. The layout is
 * that of LMDB's data format 2 on a 64-bit little-endian machine, as npm:lmdb writes it.
 */
import { isNotFound } from "../../platform/errors.ts";
import { FROM_START, type OpenFile, openFileSync } from "../../platform/files.ts";
import { Turns } from "../../platform/timers.ts";

/** 0xBEEFC0DE, at the beginning of a meta page's content. */
const MAGIC = 0xBEEFC0DE;
const PAGE_HEADER = 24;
const NODE_HEADER = 8;
const META_SIZE = 144;
/** The record that describes a database: in a meta page, or as a value in the main database. */
const DB_SIZE = 48;
const NO_ROOT = 0xFFFF_FFFF_FFFF_FFFFn;

const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
const META = 0x08;
const PAGE_KIND = 0x0FFF;

const BIG_DATA = 0x01;
const SUB_DATABASE = 0x02;
const DUPLICATES = 0x04;

const ENCRYPTED = 0x2000;

/** What is wrong with a file. */
export interface FileFault {
  /** `foreign`: not a file that this engine can have written. */
  readonly kind: "foreign" | "damaged";
  readonly detail: string;
}

interface Tree {
  readonly root: bigint;
  readonly depth: number;
  /** Unless it has several values under a key, which stand elsewhere. */
  readonly entries: number | undefined;
  /** How many were found. */
  found: number;
}

interface Meta {
  readonly transaction: bigint;
  readonly pageSize: number;
  readonly lastPage: number;
  readonly trees: Tree[];
}

/** A page to look at, and how far above the leaves it stands. */
interface Step {
  readonly tree: Tree;
  readonly page: bigint;
  readonly level: number;
}

class Fault extends Error {
  readonly kind: FileFault["kind"];

  constructor(detail: string, kind: FileFault["kind"] = "damaged") {
    super(detail);
    this.kind = kind;
  }
}

/**
 * Looks at a data file: its head, its length and up to `pages` of its pages, those at the top of
 * the trees first.
 *
 * @returns What is wrong, or `undefined`. A file that is absent or empty is fine: LMDB makes a new
 * one.
 */
export async function inspectFile(
  path: string,
  pages: number,
): Promise<FileFault | undefined> {
  for (let attempt = 1;; attempt++) {
    const { fault, moved } = await inspectOnce(path, pages);
    // While others write, pages change under our eyes: what they do succeeds, so the file is whole.
    if (fault === undefined || fault.kind === "foreign" || !moved) return fault;
    if (attempt === 3) return undefined;
  }
}

async function inspectOnce(
  path: string,
  pages: number,
): Promise<{ fault?: FileFault; moved: boolean }> {
  const file = openFile(path);
  if (file === undefined) return { moved: false };
  let size = 0;
  let before: bigint | undefined;
  try {
    size = file.statSync().size;
    if (size === 0) return { moved: false };
    const meta = readMeta(file, size);
    before = meta.transaction;
    await walk(file, size, meta, pages);
    return { moved: false };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const fault = { kind: error.kind, detail: error.message };
    return { fault, moved: size !== file.statSync().size || before !== transactionOf(file, size) };
  } finally {
    file.close();
  }
}

function openFile(path: string): OpenFile | undefined {
  try {
    return openFileSync(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function transactionOf(file: OpenFile, size: number): bigint | undefined {
  try {
    return readMeta(file, size).transaction;
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** The state that LMDB begins with: that of the newer one of the first two pages. */
function readMeta(file: OpenFile, size: number): Meta {
  const first = read(file, 0, Math.min(size, PAGE_HEADER + META_SIZE));
  const magicAt = (offset: number) =>
    first.byteLength >= offset + 8 && first.getUint32(offset, true) === MAGIC;
  if (!magicAt(PAGE_HEADER)) {
    const detail = magicAt(16)
      ? "it is of LMDB's data format 1, as LMDB 0.9 and Python's lmdb write it, and npm:lmdb needs format 2"
      : "it is no LMDB file, or its head is damaged";
    throw new Fault(detail, "foreign");
  }
  const version = first.getUint32(PAGE_HEADER + 4, true);
  if (version !== 2) throw new Fault(`it is of LMDB's data format ${version}, not 2`, "foreign");
  if (first.byteLength < PAGE_HEADER + META_SIZE) throw new Fault("it ends in its first page");
  const pageSize = first.getUint32(PAGE_HEADER + 24, true);
  if (pageSize < 256 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) {
    throw new Fault(`its page size is ${pageSize}`);
  }
  if (size < 2 * pageSize) throw new Fault("it ends in its first two pages");
  const metas = [first, read(file, pageSize, PAGE_HEADER + META_SIZE)].map((view, page) =>
    parseMeta(view, page, pageSize)
  );
  return metas[0].transaction >= metas[1].transaction ? metas[0] : metas[1];
}

function parseMeta(view: DataView, page: number, pageSize: number): Meta {
  const kind = view.getUint16(18, true) & PAGE_KIND;
  const flags = view.getUint16(PAGE_HEADER + 28, true);
  if (
    view.getUint32(PAGE_HEADER, true) !== MAGIC || kind !== META ||
    view.getUint32(PAGE_HEADER + 24, true) !== pageSize
  ) throw new Fault(`its page ${page} is no meta page`);
  if ((flags & ENCRYPTED) !== 0) throw new Fault("it is encrypted", "foreign");
  const trees = [0, 1].map((i) => parseTree(view, PAGE_HEADER + 24 + i * DB_SIZE));
  return {
    transaction: view.getBigUint64(PAGE_HEADER + 128, true),
    pageSize,
    lastPage: Number(view.getBigUint64(PAGE_HEADER + 120, true)),
    trees,
  };
}

function parseTree(view: DataView, offset: number): Tree {
  return {
    root: view.getBigUint64(offset + 40, true),
    depth: view.getUint16(offset + 6, true),
    entries: (view.getUint16(offset + 4, true) & DUPLICATES) !== 0
      ? undefined
      : Number(view.getBigUint64(offset + 32, true)),
    found: 0,
  };
}

async function walk(file: OpenFile, size: number, meta: Meta, pages: number): Promise<void> {
  const { pageSize, lastPage } = meta;
  const turns = new Turns();
  const seen = new Set<number>();
  const trees: Tree[] = [];
  const steps: Step[] = [];

  /** The page's number, when it is one, whole in the file and met for the first time. */
  const claim = (page: bigint, count = 1): number => {
    const number = Number(page);
    if (number < 2 || count < 1 || number + count - 1 > lastPage) {
      throw new Fault(`there is no page ${page}`);
    }
    if ((number + count) * pageSize > size) {
      throw new Fault(`it ends before page ${number + count - 1}: it was truncated`);
    }
    for (let i = number; i < number + count; i++) {
      if (seen.has(i)) throw new Fault(`its page ${i} is used twice`);
      seen.add(i);
    }
    return number;
  };
  const plant = (tree: Tree) => {
    trees.push(tree);
    if (tree.root === NO_ROOT) return;
    if (tree.depth < 1 || tree.depth > 32) {
      throw new Fault(`one of its trees has ${tree.depth} levels`);
    }
    steps.push({ tree, page: tree.root, level: tree.depth - 1 });
  };

  meta.trees.forEach(plant);
  // A file may be shorter than its head says when its last pages are free. Only a look at all the
  // others tells.
  const limit = (lastPage + 1) * pageSize > size ? Infinity : pages;
  for (let i = 0; i < steps.length; i++) {
    if (i >= limit) return;
    if (turns.due()) await turns.next();
    const { tree, page, level } = steps[i];
    const number = claim(page);
    const view = read(file, number * pageSize, pageSize);
    checkHeader(view, number, level === 0 ? LEAF : BRANCH, meta);
    for (const { flags, data, length, child } of nodesOf(view, number, level === 0)) {
      if (level > 0) {
        steps.push({ tree, page: child, level: level - 1 });
        continue;
      }
      tree.found++;
      if ((flags & BIG_DATA) !== 0) {
        // Longer than the value needs, where a longer one stood before.
        const count = Number(view.getBigUint64(data + 16, true));
        const start = claim(view.getBigUint64(data, true), count);
        const header = read(file, start * pageSize, PAGE_HEADER);
        checkHeader(header, start, OVERFLOW, meta);
        if (
          header.getUint32(20, true) !== count || count * pageSize < PAGE_HEADER + length
        ) throw new Fault(`its page ${start} begins a run of another length`);
      } else if (flags === SUB_DATABASE) {
        if (length !== DB_SIZE) throw new Fault(`its page ${number} describes no database`);
        plant(parseTree(view, data));
      }
    }
  }
  for (const { entries, found } of trees) {
    if (entries !== undefined && entries !== found) {
      throw new Fault(`one of its trees has ${found} entries, not ${entries}`);
    }
  }
}

function checkHeader(view: DataView, number: number, kind: number, { transaction }: Meta): void {
  if (
    view.getBigUint64(0, true) !== BigInt(number) ||
    (view.getUint16(18, true) & PAGE_KIND) !== kind ||
    // A page of a later transaction is one that LMDB takes for its own to write to.
    view.getBigUint64(8, true) > transaction
  ) throw new Fault(`its page ${number} is not what it should be`);
}

/** What stands in a page of a tree. */
interface Node {
  readonly flags: number;
  /** Where its value begins, when it is in a leaf. */
  readonly data: number;
  /** How long the value is, also when it stands in pages of its own. */
  readonly length: number;
  readonly child: bigint;
}

function nodesOf(view: DataView, number: number, leaf: boolean): Node[] {
  const lower = view.getUint16(20, true);
  const upper = view.getUint16(22, true);
  const room = view.byteLength - PAGE_HEADER;
  // LMDB never leaves a page with fewer in a tree, and ends the process when it meets one.
  const least = leaf ? 1 : 2;
  if (lower % 2 !== 0 || lower < 2 * least || lower > upper || upper > room) {
    throw new Fault(`its page ${number} has a damaged head`);
  }
  const nodes: Node[] = [];
  const spans: [start: number, end: number][] = [];
  for (let i = 0; i < lower; i += 2) {
    const start = PAGE_HEADER + view.getUint16(PAGE_HEADER + i, true);
    if (start + NODE_HEADER > view.byteLength) {
      throw new Fault(`its page ${number} points outside of itself`);
    }
    const flags = view.getUint16(start + 4, true);
    const data = start + NODE_HEADER + view.getUint16(start + 6, true);
    const length = view.getUint32(start, true);
    const here = !leaf ? 0 : (flags & BIG_DATA) !== 0 ? PAGE_HEADER : length;
    if (leaf && (flags & ~(BIG_DATA | SUB_DATABASE | DUPLICATES)) !== 0) {
      throw new Fault(`its page ${number} has a damaged entry`);
    }
    const end = data + here;
    spans.push([start, end + end % 2]);
    nodes.push({
      flags,
      data,
      length,
      child: view.getBigUint64(start, true) & 0xFFFF_FFFF_FFFFn,
    });
  }
  // They fill the page's end without gaps.
  let next = PAGE_HEADER + upper;
  for (const [start, end] of spans.sort(([a], [b]) => a - b)) {
    if (start !== next) throw new Fault(`its page ${number} has entries out of their place`);
    next = end;
  }
  if (next !== view.byteLength) throw new Fault(`its page ${number} has a damaged entry`);
  return nodes;
}

function read(file: OpenFile, offset: number, length: number): DataView {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, FROM_START);
  for (let done = 0; done < length;) {
    const count = file.readSync(bytes.subarray(done));
    if (count === null) throw new Fault("it ended while it was read");
    done += count;
  }
  return new DataView(bytes.buffer);
}
