/**
 * npm:pg, as far as it is used: it brings no types of its own.
 *
 * It, and not npm:postgres, because it sends bytes as they are (the other one sends text in hex) and
 * lends out single connections, so that one that is dead can be left. Measured on Deno 2.9 and a server
 * on the same machine, µs, pg and postgres: get of 1 KB 88 and 91, set 95 and 105, set of 100 at once 520
 * and 4,600, set of 10 MB 47,000 and 88,000. Both are maintained and without native code.
 */
import pg from "pg";
import type { PostgresValue } from "./format.ts";

/** A statement as npm:pg takes it. */
export interface ClientQuery {
  readonly name?: string;
  readonly text: string;
  readonly values?: PostgresValue[];
  readonly rowMode: "array";
}

/** What a statement gave. */
export interface ClientResult<Row = unknown[]> {
  /** Each column as npm:pg reads it: bytes as a Buffer, numbers of 8 bytes as text. */
  readonly rows: Row[];
  readonly rowCount: number | null;
}

type Callback<T> = (error: Error | undefined | null, result: T) => void;

/** A connection. */
export interface Client {
  query<Row>(query: ClientQuery, callback: Callback<ClientResult<Row>>): void;
  on(event: "error", listener: (error: Error) => void): void;
  readonly connection?: { readonly stream?: { destroy(): void } };
}

/** Gives a connection back; with `true` it is ended instead. */
type Release = (isBroken?: boolean) => void;

/** A pool of connections. */
export interface Pool {
  connect(
    callback: (error: Error | undefined, client: Client | undefined, release: Release) => void,
  ): void;
  on(event: "error", listener: (error: Error) => void): void;
  on(event: "connect" | "remove", listener: (client: Client) => void): void;
  off(event: "error" | "connect" | "remove", listener: unknown): void;
  end(): Promise<void>;
}

/** How a pool is made. */
export interface PoolOptions {
  host: string;
  port: number;
  database?: string;
  user?: string;
  password?: string;
  ssl: Record<string, unknown> | false;
  application_name?: string;
  max: number;
  connectionTimeoutMillis: number;
  idleTimeoutMillis: number;
  allowExitOnIdle: boolean;
  keepAlive: boolean;
}

/** Makes a pool. */
export const makePool = (options: PoolOptions): Pool => new pg.Pool(options) as Pool;
