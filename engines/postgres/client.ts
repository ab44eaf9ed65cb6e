/**
 * npm:pg, as far as it is used: it brings no types of its own.
 *
 * It, and not npm:postgres, because it sends bytes as they are (the other one sends text in hex), and
 * each connection is an object, so that one that is dead can be left. Measured on Deno 2.9 and a server
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
  connect(callback: (error: Error | undefined | null) => void): void;
  query<Row>(query: ClientQuery, callback: Callback<ClientResult<Row>>): void;
  end(callback: () => void): void;
  on(event: "error" | "end", listener: (error?: Error) => void): void;
  on(event: "notification", listener: (notification: { payload?: string }) => void): void;
  listenerCount(event: "error"): number;
  /** Whether the program goes on while the connection is open. */
  ref(): void;
  unref(): void;
  readonly connection: { readonly stream: { destroy(): void } };
}

/** How a connection is made. */
export interface ClientOptions {
  host: string;
  port: number;
  database?: string;
  user?: string;
  password?: string;
  ssl: Record<string, unknown> | false;
  application_name?: string;
  connectionTimeoutMillis: number;
  keepAlive: boolean;
}

/** Makes a connection, which is not connected yet. */
export const makeClient = (options: ClientOptions): Client => new pg.Client(options) as Client;

/** A pool of npm:pg that the user made. */
export interface UserPool {
  /** What makes its connections, of its options. */
  readonly Client?: { new (options: object): Client; readonly prototype: Partial<Client> };
  readonly options: object;
  connect(
    callback: (
      error: Error | undefined,
      client: Client | undefined,
      release: (isBroken?: boolean) => void,
    ) => void,
  ): void;
}
