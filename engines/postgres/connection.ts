import { tryAgain } from "../../platform/retry.ts";
import { inTime, startTimer, stopTimer, type Timer, unrefTimer } from "../../platform/timers.ts";
import { Clocks } from "../clocks.ts";
import { type Hold, objectId, SharedResources } from "../shared.ts";
import type { PostgresAddress } from "./address.ts";
import { type Client, type ClientResult, makePool, type Pool } from "./client.ts";
import { isStopped, isTableAbsent, NoAnswer, PostgresError, postgresError } from "./errors.ts";
import type { PostgresValue } from "./format.ts";
import { type PostgresQueries, type PostgresQuery, tableQueries } from "./queries.ts";
import { checkColumns, tableColumns, tableCreation } from "./table.ts";

/** How long a connection that nobody uses is kept, ms. */
const IDLE = 30_000;
/** How long the server has to end its side of a connection, ms. */
const LINGER = 200;
/** How long opening waits for the server to tell its time, ms. */
const CLOCK_WAIT = 300;
/** In how many steps the time for an answer runs out. */
const STEPS = 4;
/** How long a statement is done again that the server stopped for the sake of others, ms. */
const AGAIN = 10_000;

/** After these a connection is of no use any more, or leads to where another server should be. */
const LEAVE = /^(57P|25006|08)/;

/** An answer that is awaited. */
interface Waiting {
  steps: number;
  late(): void;
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
  readonly #address: PostgresAddress;
  readonly #pool: Pool;
  readonly #clients = new Set<Client>();
  readonly #waiting = new Set<Waiting>();
  #clock: Timer | undefined;
  #making: Promise<void> | undefined;
  // A statement that is under way when its connection breaks is told of it; without a listener the
  // program would end.
  readonly #onError = () => {};
  readonly #onConnect = (client: Client) => {
    // After all of them have ended it may be another server than before.
    if (this.#clients.size === 0) this.clocks.forget();
    this.#clients.add(client);
    client.on("error", this.#onError);
  };
  readonly #onRemove = (client: Client) => void this.#clients.delete(client);

  private constructor(address: PostgresAddress) {
    this.#address = address;
    this.queries = tableQueries(address.table);
    const { host, port, database, user, password, tls, timeout, pool, applicationName } = address;
    // The option was checked to be one, as far as that goes.
    this.#pool = address.client as Pool | undefined ?? makePool({
      host,
      port,
      database,
      user,
      password,
      ssl: tls ?? false,
      application_name: applicationName,
      max: pool,
      connectionTimeoutMillis: timeout,
      idleTimeoutMillis: IDLE,
      // The program ends by itself while no answer is awaited, though connections are open.
      allowExitOnIdle: true,
      keepAlive: true,
    });
    this.#pool.on("error", this.#onError);
    this.#pool.on("connect", this.#onConnect);
    this.#pool.on("remove", this.#onRemove);
  }

  /** Connects, and makes the table where there is none. */
  static async open(address: PostgresAddress): Promise<PostgresConnection> {
    const connection = new PostgresConnection(address);
    try {
      await connection.#makeTable();
      // Not for long, and it is no reason to fail: until it is known, deadlines are told otherwise.
      await inTime(connection.clocks.compare(), CLOCK_WAIT, () => new NoAnswer("no time"))
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
    return this.#send<Row>(query, values).catch(async (error) => {
      if (isTableAbsent(error)) {
        await this.#makeTable();
        return await this.#send<Row>(query, values);
      }
      if (!isStopped(error)) throw error;
      return await tryAgain(() => this.#send<Row>(query, values), isStopped, AGAIN);
    });
  }

  /** Ends the connections; a pool of the user's stays as it is. */
  async close(): Promise<void> {
    stopTimer(this.#clock);
    const pool = this.#pool;
    if (pool !== this.#address.client) {
      for (const { late } of this.#waiting) late();
      const clients = [...this.#clients];
      await inTime(pool.end(), LINGER, () => new NoAnswer("no end")).catch(() => {
        for (const client of clients) client.connection?.stream?.destroy();
      });
    }
    pool.off("error", this.#onError);
    pool.off("connect", this.#onConnect);
    pool.off("remove", this.#onRemove);
  }

  /** One making for all who find that there is none. */
  #makeTable(): Promise<void> {
    return this.#making ??= this.#tryToMakeTable().finally(() => this.#making = undefined);
  }

  async #tryToMakeTable(): Promise<void> {
    const { table } = this.#address;
    const isThere = async () => {
      const { rows } = await this.#send<(string | boolean | null)[]>({
        name: "",
        text: tableColumns(table),
      }, []);
      return checkColumns(table, rows);
    };
    // Looked for first: who may not make tables can use one.
    if (await isThere()) return;
    await this.#send({ name: "", text: tableCreation(table) }, []);
    if (await isThere()) return;
    throw new PostgresError(`the table ${table.join(".")} can't be seen after it was made`, {});
  }

  async #time(): Promise<(string | number)[]> {
    const text = "SELECT extract(epoch FROM clock_timestamp())::text";
    const { rows: [[seconds]] } = await this.#send<[string]>({ name: "", text }, []);
    return [Number(seconds), 0];
  }

  #send<Row>(
    { name, text }: PostgresQuery,
    values: PostgresValue[],
  ): Promise<ClientResult<Row>> {
    return new Promise((resolve, reject) => {
      this.#pool.connect((refused, client, release) => {
        if (refused || client === undefined) {
          reject(postgresError(refused, false, this.#address));
          return;
        }
        const end = (isBroken: boolean) => {
          this.#waiting.delete(waiting);
          release(isBroken);
        };
        let isOver = false;
        const waiting: Waiting = {
          steps: 0,
          late: () => {
            isOver = true;
            // The answer could come yet, and be taken for that of another statement.
            end(true);
            reject(postgresError(new NoAnswer("no answer in time"), true, this.#address));
          },
        };
        this.#begin(waiting);
        const query = name === "" ? { text } : { name, text, values };
        client.query<Row>({ ...query, rowMode: "array" }, (failed, result) => {
          if (isOver) return;
          isOver = true;
          if (!failed) {
            end(false);
            resolve(result);
            return;
          }
          const error = postgresError(failed, true, this.#address);
          end(!(error instanceof PostgresError) || LEAVE.test(error.code ?? "08"));
          reject(error);
        });
      });
    });
  }

  #begin(waiting: Waiting): void {
    this.#waiting.add(waiting);
    this.#clock ??= this.#startClock();
  }

  /** One timer for all that is awaited: one for each would cost more. */
  #startClock(): Timer {
    const clock = startTimer(() => {
      this.#clock = undefined;
      for (const waiting of [...this.#waiting]) if (++waiting.steps > STEPS) waiting.late();
      if (this.#waiting.size > 0) this.#clock = this.#startClock();
    }, this.#address.timeout / STEPS);
    // The connection keeps the program running, if need be.
    unrefTimer(clock);
    return clock;
  }
}

const connections = new SharedResources<PostgresConnection>((connection) => connection.close());

/** Connects, or joins those who are connected to the same server with the same options. */
export function connect(address: PostgresAddress): Promise<Hold<PostgresConnection>> {
  const { client, tls, ...rest } = address;
  const key = JSON.stringify({ ...rest, client: objectId(client), tls: objectId(tls) });
  return connections.acquire(key, () => PostgresConnection.open(address));
}
