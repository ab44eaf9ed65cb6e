import { tryAgain } from "../../platform/retry.ts";
import { inTime, startTimer, stopTimer, type Timer, unrefTimer } from "../../platform/timers.ts";
import { Clocks } from "../clocks.ts";
import { type Hold, objectId, SharedResources } from "../shared.ts";
import type { PostgresAddress } from "./address.ts";
import {
  type Client,
  type ClientOptions,
  type ClientQuery,
  type ClientResult,
  makeClient,
  type UserPool,
} from "./client.ts";
import {
  isStopped,
  isTableAbsent,
  NoAnswer,
  NoConnection,
  PostgresError,
  postgresError,
} from "./errors.ts";
import type { PostgresRange, PostgresValue } from "./format.ts";
import { Borrowed, type GiveBack, type Lender, Pool } from "./pool.ts";
import {
  type PostgresQueries,
  type PostgresQuery,
  type RangeQuery,
  tableQueries,
  unnamed,
} from "./queries.ts";
import { checkColumns, tableColumns, tableCreation } from "./table.ts";

/** How long opening waits for the server to tell its time, ms. */
const CLOCK_WAIT = 300;
/** In how many steps the time for an answer runs out. */
const STEPS = 4;
/** How long a statement is done again that the server stopped for the sake of others, ms. */
const AGAIN = 10_000;

/** After these a connection is of no use any more, or leads to where another server should be. */
const LEAVE = /^(57P|25006|08)/;

/** A statement whose answer is awaited. */
interface Waiting {
  steps: number;
  /** The time is up. */
  end(): void;
}

/**
 * A pool of connections that several handles use, and the table that it is for. Each call ends within
 * a bounded time, whatever happens to the server: what was under way when a connection went is
 * rejected and never sent twice, what comes later connects anew.
 */
export class PostgresConnection {
  readonly queries: PostgresQueries;
  /** Whether the server's clock shows the same as ours. */
  readonly clocks = new Clocks(() => [() => this.#time()]);
  /**
   * Makes a connection beside the pool, not connected yet; absent with a pool of the user's that does
   * not say how it connects.
   */
  readonly makeListener: (() => Client) | undefined;
  readonly #address: PostgresAddress;
  readonly #lender: Lender;
  readonly #waiting = new Set<Waiting>();
  #clock: Timer | undefined;
  #making: Promise<void> | undefined;

  private constructor(address: PostgresAddress) {
    this.#address = address;
    this.queries = tableQueries(address.table);
    if (address.client === undefined) {
      const options = clientOptions(address);
      // It may be another server than before.
      this.#lender = new Pool(options, address.pool, () => this.clocks.forget());
      this.makeListener = () => makeClient(options);
    } else {
      // The option was checked to be one, as far as that goes.
      const pool = address.client as UserPool;
      this.#lender = new Borrowed(pool);
      const { Client, options } = pool;
      // Those of native code keep the program running.
      const isKnown = Client?.prototype?.unref !== undefined;
      this.makeListener = isKnown ? () => new Client(options) : undefined;
    }
  }

  /** Connects, and makes the table where there is none. */
  static async open(address: PostgresAddress): Promise<PostgresConnection> {
    const connection = new PostgresConnection(address);
    try {
      await connection.#makeTable();
      // Not for long, and it is no reason to fail: until it is known, deadlines are told otherwise.
      await inTime(connection.clocks.compare(), CLOCK_WAIT, () => new NoAnswer())
        .catch(() => undefined);
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /**
   * Sends a statement and gives what it gave. One that finds no table has one made and is sent again:
   * the database is as new. So is one that Postgres stopped because two waited for each other.
   */
  run<Row>(query: PostgresQuery, values: PostgresValue[]): Promise<ClientResult<Row>> {
    return this.#send(query, values, (error) => this.#again<Row>(query, values, error));
  }

  /** The same of a statement about a range. */
  runRange<Row>(
    { before, toEnd }: RangeQuery,
    range: PostgresRange,
    values: PostgresValue[],
  ): Promise<ClientResult<Row>> {
    return this.run(range[2] === null ? toEnd : before, [...range, ...values]);
  }

  async #again<Row>(
    query: PostgresQuery,
    values: PostgresValue[],
    error: Error,
  ): Promise<ClientResult<Row>> {
    if (isTableAbsent(error)) {
      await this.#makeTable();
      return await this.#send(query, values);
    }
    if (!isStopped(error)) throw error;
    return await tryAgain(() => this.#send<Row>(query, values), isStopped, AGAIN);
  }

  /** Ends the connections; a pool of the user's stays as it is. */
  async close(): Promise<void> {
    await this.#lender.close();
    for (const waiting of this.#waiting) waiting.end();
    stopTimer(this.#clock);
  }

  /** One making for all who find that there is none. */
  #makeTable(): Promise<void> {
    return this.#making ??= this.#tryToMakeTable().finally(() => this.#making = undefined);
  }

  async #tryToMakeTable(): Promise<void> {
    const { table } = this.#address;
    const isThere = async () => {
      const query = unnamed(tableColumns(table));
      const { rows } = await this.#send<(string | boolean | null)[]>(query, []);
      return checkColumns(table, rows);
    };
    // Looked for first: who may not make tables can use one.
    if (await isThere()) return;
    await this.#send(unnamed(tableCreation(table)), []);
    if (await isThere()) return;
    throw new PostgresError(`the table ${table.join(".")} can't be seen after it was made`, {});
  }

  async #time(): Promise<(string | number)[]> {
    const text = "SELECT extract(epoch FROM clock_timestamp())::text";
    const { rows: [[seconds]] } = await this.#send<[string]>(unnamed(text), []);
    return [Number(seconds), 0];
  }

  /** @param onError What to do about an error, instead of rejecting with it. */
  #send<Row>(
    query: PostgresQuery,
    values: PostgresValue[],
    onError?: (error: Error) => Promise<ClientResult<Row>>,
  ): Promise<ClientResult<Row>> {
    return new Promise((resolve, reject) => {
      const { isBusy } = this.#lender;
      let giveBack: GiveBack | undefined;
      let isOver = false;
      const fail = (error: unknown) => {
        isOver = true;
        this.#waiting.delete(waiting);
        const told = postgresError(error, giveBack !== undefined, this.#address);
        giveBack?.(!(told instanceof PostgresError) || LEAVE.test(told.code ?? "08"));
        if (onError === undefined) reject(told);
        else resolve(onError(told));
      };
      const waiting: Waiting = {
        steps: 0,
        // A connection that is left could bring the answer yet, and somebody else would get it.
        end: () => fail(giveBack === undefined && isBusy ? new NoConnection() : new NoAnswer()),
      };
      this.#waiting.add(waiting);
      this.#clock ??= this.#startClock();
      this.#lender.borrow((refused, client, give) => {
        if (isOver) {
          give(false);
        } else if (client === undefined) {
          fail(refused);
        } else {
          giveBack = give;
          client.query<Row>(clientQuery(query, values), (failed, result) => {
            if (isOver) return;
            if (failed) {
              fail(failed);
              return;
            }
            isOver = true;
            this.#waiting.delete(waiting);
            give(false);
            resolve(result);
          });
        }
      });
    });
  }

  /** One timer for all that is awaited: one for each would cost more. */
  #startClock(): Timer {
    const clock = startTimer(() => {
      this.#clock = undefined;
      for (const waiting of [...this.#waiting]) if (++waiting.steps > STEPS) waiting.end();
      if (this.#waiting.size > 0) this.#clock = this.#startClock();
    }, this.#address.timeout / STEPS);
    // The connection keeps the program running, if need be.
    unrefTimer(clock);
    return clock;
  }
}

/**
 * A statement for npm:pg, which copies the own properties of what it is given one by one: what is the
 * same each time is none of those, for a microsecond of each call.
 */
function clientQuery(query: PostgresQuery, values: PostgresValue[]): ClientQuery {
  const made = Object.create(query);
  made.values = values;
  return made;
}

function clientOptions(address: PostgresAddress): ClientOptions {
  const { host, port, database, user, password, tls, timeout, applicationName } = address;
  return {
    host,
    port,
    database,
    user,
    password,
    ssl: tls ?? false,
    application_name: applicationName,
    connectionTimeoutMillis: timeout,
    keepAlive: true,
  };
}

const connections = new SharedResources<PostgresConnection>((connection) => connection.close());

/** Connects, or joins those who are connected to the same server with the same options. */
export function connect(address: PostgresAddress): Promise<Hold<PostgresConnection>> {
  const { client, tls, ...rest } = address;
  const key = JSON.stringify({ ...rest, client: objectId(client), tls: objectId(tls) });
  return connections.acquire(key, () => PostgresConnection.open(address));
}
