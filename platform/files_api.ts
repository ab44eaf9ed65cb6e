/** What the runtime does with files, as Deno names it. */

/** A file that is open. */
export interface OpenFile extends Disposable {
  /** Reads into the buffer; the number of bytes, or `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** `read`, at once. */
  readSync(buffer: Uint8Array): number | null;
  /** Writes at least a part of the bytes; how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** `write`, at once. */
  writeSync(bytes: Uint8Array): number;
  /** Waits until what was written is on the disk, and survives that the power fails. */
  syncData(): Promise<void>;
  /** `syncData`, and until what the system knows of it is there, too. */
  sync(): Promise<void>;
  /** Goes to an offset; `whence` as in `lseek`. */
  seekSync(offset: number, whence: typeof FROM_START): number;
  /** The file's state. */
  statSync(): FileInfo;
  /** Sets when the file was read and written last. */
  utimeSync(atime: Date, mtime: Date): void;
  /** Closes the file. */
  close(): void;
  /** The rest of the file; closes it at the end. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** For `seekSync`: the offset counts from the beginning of the file. */
export const FROM_START = 0;

/** How to open a file; without any of it, to read. */
export interface OpenOptions {
  write?: boolean;
  /** Writes at its end, wherever that is when it is written. */
  append?: boolean;
  /** Makes it when it is absent. */
  create?: boolean;
  /** Makes it, and fails when it is there. */
  createNew?: boolean;
  /** Drops what is in it. */
  truncate?: boolean;
  /** The mode of a file that is made. */
  mode?: number;
}

/** What the system knows of a file or folder. */
export interface FileInfo {
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
  readonly size: number;
  readonly mtime: Date | null;
  readonly dev: number;
  readonly ino: number | null;
  readonly mode: number | null;
}

/** What is in a folder. */
export interface FolderEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** How to write a file: `createNew` fails when it is there, `mode` is what it gets exactly. */
export type WriteOptions = Pick<OpenOptions, "createNew" | "mode">;

/** The calls that each runtime has in its own way; named as Deno names them. */
export interface Files {
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  readFileSync(path: string): Uint8Array<ArrayBuffer>;
  writeFile(path: string, content: Uint8Array, options?: WriteOptions): Promise<void>;
  writeTextFile(path: string, content: string, options?: WriteOptions): Promise<void>;
  writeFileSync(path: string, content: Uint8Array, options?: WriteOptions): void;
  open(path: string, options?: OpenOptions): Promise<OpenFile>;
  openSync(path: string, options?: OpenOptions): OpenFile;
  stat(path: string): Promise<FileInfo>;
  statSync(path: string): FileInfo;
  lstatSync(path: string): FileInfo;
  rename(from: string, to: string): Promise<void>;
  removeSync(path: string): void;
  remove(path: string, options: { recursive: true }): Promise<void>;
  mkdir(path: string, options: { recursive: true }): Promise<void>;
  mkdirSync(path: string, options: { recursive?: true; mode?: number }): void;
  chmodSync(path: string, mode: number): void;
  realPath(path: string): Promise<string>;
  readDirSync(path: string): Iterable<FolderEntry>;
}
