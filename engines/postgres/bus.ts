/**
 * Messages between the processes that use the stores of one name in one table: NOTIFY, on a channel
 * of both. They are sent by the pool; who subscribes has a connection of his own, as those of the
 * pool come and go.
 */
import { hash } from "../../codec/hash.ts";
import { inTime, startTimer, stopTimer } from "../../platform/timers.ts";
import type { Bus } from "../engine.ts";
import { PartsOf } from "../shared.ts";
import { type Link, subscribeBy } from "../subscription.ts";
import type { PostgresAddress } from "./address.ts";
import type { Client } from "./client.ts";
import type { PostgresConnection } from "./connection.ts";
import { NoAnswer, PostgresError, postgresError } from "./errors.ts";
import { destroy, LINGER } from "./pool.ts";
import type { PostgresQuery } from "./queries.ts";

/** What a connection says to itself begins so. */
const TRIAL = "hashstash_trial:";

const PUBLISH: PostgresQuery = {
  name: "hashstash_publish",
  text: "SELECT pg_notify($1, $2)",
  rowMode: "array",
};

const buses = new PartsOf<PostgresConnection, Bus>();

/**
 * What carries the messages of a name: the same for all who share a connection. None with a pool of
 * the user's that does not say how it connects.
 */
export function busOn(
  connection: PostgresConnection,
  name: string,
  address: PostgresAddress,
): Bus | undefined {
  const { makeListener } = connection;
  if (makeListener === undefined) return undefined;
  return buses.get(
    connection,
    name,
    () => new PostgresBus(connection, makeListener, name, address),
  );
}

/** Postgres cuts a longer name than 63 bytes, and folds capitals unless it is quoted. */
function channelOf(name: string, { table }: PostgresAddress): string {
  return `hashstash_${hash(JSON.stringify([...table, name])).slice(0, 40)}`;
}

class PostgresBus implements Bus {
  readonly #connection: PostgresConnection;
  readonly #makeListener: () => Client;
  readonly #channel: string;
  readonly #address: PostgresAddress;

  constructor(
    connection: PostgresConnection,
    makeListener: () => Client,
    name: string,
    address: PostgresAddress,
  ) {
    this.#connection = connection;
    this.#makeListener = makeListener;
    this.#channel = channelOf(name, address);
    this.#address = address;
  }

  /** Postgres refuses a message of 8,000 bytes or more. */
  async publish(message: string): Promise<void> {
    await this.#connection.run(PUBLISH, [this.#channel, message]);
  }

  subscribe(
    onMessage: (message: string) => void,
    onGap: () => void,
  ): Promise<() => Promise<void>> {
    return subscribeBy(
      () =>
        new PostgresLink(
          this.#makeListener(),
          this.#channel,
          this.#address,
          onMessage,
          (message) => this.publish(message),
        ),
      onGap,
    );
  }
}

class PostgresLink implements Link {
  readonly ended: Promise<void>;
  readonly #client: Client;
  readonly #channel: string;
  readonly #address: PostgresAddress;
  readonly #publish: (message: string) => Promise<void>;
  readonly #trial = `${TRIAL}${crypto.randomUUID()}`;
  #hear!: () => void;
  readonly #heard = new Promise<void>((resolve) => this.#hear = resolve);
  #isListening = false;

  constructor(
    client: Client,
    channel: string,
    address: PostgresAddress,
    onMessage: (message: string) => void,
    publish: (message: string) => Promise<void>,
  ) {
    this.#client = client;
    this.#publish = publish;
    this.#channel = channel;
    this.#address = address;
    // Who waits for an answer is told of it; without a listener the program would end.
    client.on("error", () => {});
    client.on("notification", ({ payload = "" }) => {
      if (payload === this.#trial) this.#hear();
      else if (!payload.startsWith(TRIAL)) onMessage(payload);
    });
    this.ended = new Promise((resolve) => client.on("end", () => resolve()));
  }

  async begin(): Promise<void> {
    const client = this.#client;
    try {
      await this.#inTime(async () => {
        await new Promise<void>((resolve, reject) =>
          client.connect((error) => error ? reject(error) : resolve())
        );
        await this.#ask(`LISTEN ${this.#channel}`);
      });
      await this.#tryToHear();
    } catch (error) {
      throw postgresError(error, false, this.#address);
    }
    this.#isListening = true;
    // The program may end by itself while it only listens.
    client.unref();
  }

  /**
   * Behind a pool like PgBouncer's in transaction mode it is a connection of the pool that listens, and
   * what comes on it goes to nobody, or to whoever has it then. It is sent by another connection, as
   * what one sends itself comes with the answer.
   */
  async #tryToHear(): Promise<void> {
    const { path, timeout } = this.#address;
    await this.#publish(this.#trial);
    const ended = this.ended.then(() => {
      throw new Error("Connection terminated");
    });
    await inTime(
      Promise.race([this.#heard, ended]),
      timeout,
      () =>
        new PostgresError(
          `${path} takes LISTEN, and what NOTIFY sends does not arrive within ${timeout} ms: there is ` +
            `a pool between, such as PgBouncer in transaction mode; give a URL that leads to the ` +
            `server itself or to a pool in session mode, or say near: { bus: false }`,
          {},
        ),
    );
  }

  ping(): Promise<void> {
    return this.#inTime(() => this.#ask("SELECT"));
  }

  end(): void {
    // The program must not end by itself before the connection has.
    this.#client.ref();
    this.#client.end(() => {});
    const timer = startTimer(() => destroy(this.#client), this.#isListening ? LINGER : 0);
    void this.ended.then(() => stopTimer(timer));
  }

  #ask(text: string): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#client.query(
        { text, rowMode: "array" },
        (error) => error ? reject(error) : resolve(),
      )
    );
  }

  #inTime(work: () => Promise<void>): Promise<void> {
    return inTime(work(), this.#address.timeout, () => new NoAnswer());
  }
}
