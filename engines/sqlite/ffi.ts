import type { ConnectOptions, SqlConnection, SqlDriver, SqlStatement, SqlValue } from "./driver.ts";

/** What we use of `@db/sqlite`. Its own types would put the package into every program's graph. */
interface FfiModule {
  readonly Database: new (path: string, options: FfiOptions) => {
    prepare(sql: string): FfiStatement;
    exec(sql: string): unknown;
    close(): void;
  };
}

interface FfiOptions {
  readonly int64: boolean;
  readonly parseJson: boolean;
  readonly readonly: boolean;
}

interface FfiStatement {
  value(...params: Row): Row | undefined;
  values(...params: Row): Row[];
  run(...params: Row): number;
}

type Row = SqlValue[];

class FfiConnection implements SqlConnection {
  readonly #database: InstanceType<FfiModule["Database"]>;

  constructor(module: FfiModule, path: string, { access = "write", busyTimeout }: ConnectOptions) {
    // Without int64 it cuts integers to 32 bits; with it, those beyond 2^53 come as bigints in any
    // statement.
    this.#database = new module.Database(path, {
      int64: true,
      parseJson: false,
      // It takes no address of a file that nobody changes.
      readonly: access !== "write",
    });
    this.#database.exec(`PRAGMA busy_timeout = ${busyTimeout}`);
  }

  prepare(sql: string): SqlStatement {
    const statement = this.#database.prepare(sql);
    return {
      get: (...params) => statement.value(...params),
      all: (...params) => statement.values(...params),
      run: (...params) => statement.run(...params),
    };
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  close(): void {
    this.#database.close();
  }
}

/**
 * The FFI library `@db/sqlite`: needs `--allow-ffi --allow-env=DENO_SQLITE_PATH,DENO_SQLITE_LOCAL`,
 * with DENO_SQLITE_PATH naming a native library; without it, it downloads one, which takes every
 * permission.
 *
 * @throws When it cannot be loaded.
 */
export async function loadFfiDriver(): Promise<SqlDriver> {
  // Put together here: a literal would be resolved, and downloaded, with every program that imports
  // us.
  const specifier = ["jsr:@db", "sqlite@^0.13"].join("/");
  const module: FfiModule = await import(specifier);
  return {
    name: "@db/sqlite",
    connect: (path, options) => new FfiConnection(module, path, options),
  };
}
