/** The calls of `Files` by `node:fs`, for Node and Bun. */
import type { Dirent, Stats } from "node:fs";
import type {
  FileInfo,
  Files,
  FolderEntry,
  OpenFile,
  OpenOptions,
  WriteOptions,
} from "./files_api.ts";
import { builtinModule, os } from "./system.ts";

/** Loaded by those alone who call this: on Deno it takes 20 ms. */
const fs = () => builtinModule("node:fs");

export function nodeFiles(): Files {
  const { promises, ...all } = fs();
  return {
    // A file of its own size, whole: no part of a buffer that others share.
    readFile: async (path) => new Uint8Array(await promises.readFile(path)),

    // Not by `readFileSync`: small files come in a part of a buffer that others share.
    readFileSync(path) {
      const file = open(path);
      try {
        const bytes = new Uint8Array(file.statSync().size);
        let length = 0;
        for (let count; (count = file.readSync(bytes.subarray(length)));) length += count;
        return bytes.subarray(0, length);
      } finally {
        file.close();
      }
    },

    writeFile: writeWhole,

    writeTextFile: (path, content, options) =>
      writeWhole(path, new TextEncoder().encode(content), options),

    writeFileSync(path, content, options) {
      const file = openToWrite(path, options);
      try {
        for (let at = 0; at < content.byteLength;) at += file.writeSync(content.subarray(at));
      } finally {
        file.close();
      }
    },

    // A file is opened at once: a thread of its own would take longer.
    open: (path, options) => new Promise((resolve) => resolve(open(path, options))),
    openSync: open,
    stat: async (path) => infoOf(await promises.stat(path)),
    statSync: (path) => infoOf(all.statSync(path)),
    lstatSync: (path) => infoOf(all.lstatSync(path)),

    rename: (from, to) => promises.rename(from, to),

    removeSync(path) {
      if (all.lstatSync(path).isDirectory()) all.rmdirSync(path);
      else all.unlinkSync(path);
    },

    readDirSync: (path) => all.readdirSync(path, { withFileTypes: true }).map(entryOf),
    remove: (path, options) => promises.rm(path, options),
    mkdir: async (path, options) => void await promises.mkdir(path, options),
    mkdirSync: (path, options) => void all.mkdirSync(path, options),
    chmodSync: all.chmodSync,
    realPath: (path) => promises.realpath(path),
  };
}

async function writeWhole(
  path: string,
  content: Uint8Array,
  options?: WriteOptions,
): Promise<void> {
  const file = openToWrite(path, options);
  try {
    for (let at = 0; at < content.byteLength;) at += await file.write(content.subarray(at));
  } finally {
    file.close();
  }
}

function open(path: string, options?: OpenOptions): NodeFile {
  return new NodeFile(
    fs().openSync(path, flagsOf(options), options?.mode),
    options?.append === true,
  );
}

function flagsOf({ write, append, create, createNew, truncate }: OpenOptions = {}): number {
  const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_TRUNC, O_WRONLY } = fs().constants;
  return (write || append ? O_WRONLY : O_RDONLY) | (append ? O_APPEND : 0) |
    (create || createNew ? O_CREAT : 0) | (createNew ? O_EXCL : 0) | (truncate ? O_TRUNC : 0);
}

function openToWrite(path: string, { createNew = false, mode }: WriteOptions = {}): NodeFile {
  const file = open(path, { write: true, create: true, createNew, truncate: !createNew, mode });
  // The umask may have taken a part of it.
  if (mode !== undefined) file.giveMode(mode);
  return file;
}

class NodeFile implements OpenFile {
  readonly #fd: number;
  /** Where it goes on; `null`: at its end. Node has no `lseek`. */
  #at: number | null;
  #isOpen = true;

  constructor(fd: number, append: boolean) {
    this.#fd = fd;
    this.#at = append ? null : 0;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return new Promise((resolve, reject) =>
      fs().read(this.#fd, buffer, 0, buffer.byteLength, this.#at, (error, count) => {
        if (error) reject(error);
        else resolve(this.#goOn(count) || null);
      })
    );
  }

  readSync(buffer: Uint8Array): number | null {
    const count = fs().readSync(this.#fd, buffer, 0, buffer.byteLength, this.#at);
    return this.#goOn(count) || null;
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) =>
      fs().write(this.#fd, bytes, 0, bytes.byteLength, this.#at, (error, count) => {
        if (error) reject(error);
        else resolve(this.#goOn(count));
      })
    );
  }

  writeSync(bytes: Uint8Array): number {
    return this.#goOn(fs().writeSync(this.#fd, bytes, 0, bytes.byteLength, this.#at));
  }

  #goOn(count: number): number {
    if (this.#at !== null) this.#at += count;
    return count;
  }

  syncData(): Promise<void> {
    return flush(fs().fdatasync, this.#fd);
  }

  sync(): Promise<void> {
    return flush(fs().fsync, this.#fd);
  }

  seekSync(offset: number): number {
    return this.#at = offset;
  }

  statSync(): FileInfo {
    return infoOf(fs().fstatSync(this.#fd));
  }

  giveMode(mode: number): void {
    fs().fchmodSync(this.#fd, mode);
  }

  utimeSync(atime: Date, mtime: Date): void {
    fs().futimesSync(this.#fd, atime, mtime);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    fs().closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#isOpen = false;
    const stream = fs().createReadStream("", { fd: this.#fd, start: this.#at ?? undefined });
    const { Readable } = builtinModule("node:stream");
    return Readable.toWeb(stream) as ReadableStream<Uint8Array<ArrayBuffer>>;
  }
}

function flush(
  call: (fd: number, done: (error: Error | null) => void) => void,
  fd: number,
): Promise<void> {
  return new Promise((resolve, reject) => call(fd, (error) => error ? reject(error) : resolve()));
}

function infoOf(stats: Stats): FileInfo {
  const { size, mtime, dev, ino, mode } = stats;
  return {
    isFile: stats.isFile(),
    isDirectory: stats.isDirectory(),
    isSymlink: stats.isSymbolicLink(),
    size,
    mtime,
    dev,
    ino,
    // Windows has no modes.
    mode: os() === "windows" ? null : mode,
  };
}

function entryOf(entry: Dirent): FolderEntry {
  return { name: entry.name, isDirectory: entry.isDirectory() };
}
