import { DatabaseSync, StatementSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { tooOld } from "../../platform/oldest.ts";
import { runtimeName, runtimeVersion } from "../../platform/system.ts";
import type { ConnectOptions, SqlConnection, SqlDriver, SqlStatement, SqlValue } from "./driver.ts";

type Row = SqlValue[];

/** A method that the library has and its types lack. */
interface ArrayRows {
  setReturnArrays(enabled: boolean): void;
}

/** Node 22 binds bytes that have no memory as NULL. */
const losesEmpty = runtimeName() === "Node" && Number.parseInt(runtimeVersion()) < 24;
const EMPTY = new Uint8Array(new ArrayBuffer(1), 0, 0);

function bound(params: Row): Row {
  if (!losesEmpty) return params;
  return params.map((param) => param instanceof Uint8Array && param.length === 0 ? EMPTY : param);
}

class NodeStatement implements SqlStatement {
  readonly #statement: StatementSync;

  constructor(statement: StatementSync) {
    (statement as StatementSync & ArrayRows).setReturnArrays(true);
    this.#statement = statement;
  }

  get(...params: Row): Row | undefined {
    return this.#statement.get(...bound(params)) as unknown as Row | undefined;
  }

  all(...params: Row): Row[] {
    return this.#statement.all(...bound(params)) as unknown as Row[];
  }

  run(...params: Row): number {
    return Number(this.#statement.run(...bound(params)).changes);
  }
}

class WideStatement extends NodeStatement {
  constructor(statement: StatementSync) {
    super(statement);
    statement.setReadBigInts(true);
  }

  override get(...params: Row): Row | undefined {
    return super.get(...params)?.map(narrow);
  }

  override all(...params: Row): Row[] {
    return super.all(...params).map((row) => row.map(narrow));
  }
}

/** A number where one can stand for the integer. */
function narrow(value: SqlValue): SqlValue {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

class NodeConnection implements SqlConnection {
  readonly #database: DatabaseSync;

  constructor(path: string, { access = "write", busyTimeout }: ConnectOptions) {
    const options = {
      readOnly: access !== "write",
      timeout: busyTimeout,
      // Python's DiskCache wrote its triggers with "count" for 'count'.
      enableDoubleQuotedStringLiterals: true,
      // What is damaged beyond repair is struck from the schema.
      defensive: false,
    };
    if (!("setReturnArrays" in StatementSync.prototype)) {
      throw tooOld("Files of SQLite need", "2.7");
    }
    this.#database = new DatabaseSync(access === "immutable" ? immutable(path) : path, options);
  }

  prepare(sql: string, { wide = false } = {}): SqlStatement {
    const statement = this.#database.prepare(sql);
    return wide ? new WideStatement(statement) : new NodeStatement(statement);
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  close(): void {
    this.#database.close();
  }
}

function immutable(path: string): URL {
  const url = pathToFileURL(path);
  url.searchParams.set("immutable", "1");
  return url;
}

/** The SQLite that Deno, Node and Bun bring: needs read and write permission for the file's folder. */
export const nodeDriver: SqlDriver = {
  name: "node:sqlite",
  connect: (path, options) => new NodeConnection(path, options),
};
