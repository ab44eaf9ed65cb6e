/**
 * Messages between the processes that use the stores of one name: Redis' pub/sub, on a channel of
 * the database and the name. Who subscribes has a connection of his own, as one that subscribes
 * takes no other commands.
 */
import type { Redis } from "ioredis";
import { inTime } from "../../platform/timers.ts";
import type { Bus } from "../engine.ts";
import { PartsOf } from "../shared.ts";
import { type Link, subscribeBy } from "../subscription.ts";
import type { RedisConnection } from "./connection.ts";
import { NoAnswer } from "./errors.ts";

const buses = new PartsOf<RedisConnection, Bus>();

/** What carries messages on a channel: the same for all who share a connection. */
export function busOn(connection: RedisConnection, channel: string, timeout: number): Bus {
  return buses.get(connection, channel, () => new RedisBus(connection, channel, timeout));
}

class RedisBus implements Bus {
  readonly #connection: RedisConnection;
  readonly #channel: string;
  readonly #timeout: number;

  constructor(connection: RedisConnection, channel: string, timeout: number) {
    this.#connection = connection;
    this.#channel = channel;
    this.#timeout = timeout;
  }

  async publish(message: string): Promise<void> {
    await this.#connection.run((client) => client.publish(this.#channel, message));
  }

  subscribe(
    onMessage: (message: string) => void,
    onGap: () => void,
  ): Promise<() => Promise<void>> {
    return subscribeBy(
      () => new RedisLink(this.#connection, this.#channel, this.#timeout, onMessage),
      onGap,
    );
  }
}

class RedisLink implements Link {
  readonly ended: Promise<void>;
  readonly #connection: RedisConnection;
  readonly #channel: string;
  readonly #timeout: number;
  readonly #client: Redis;
  #trouble: unknown;

  constructor(
    connection: RedisConnection,
    channel: string,
    timeout: number,
    onMessage: (message: string) => void,
  ) {
    this.#connection = connection;
    this.#channel = channel;
    this.#timeout = timeout;
    // Made anew each time: in a cluster another server may have to be asked.
    const client = this.#client = connection.subscriber();
    client.on("error", (error) => this.#trouble = error);
    client.on("message", (_, message) => onMessage(message));
    this.ended = new Promise((resolve) => client.once("end", () => resolve()));
  }

  async begin(): Promise<void> {
    const client = this.#client;
    try {
      await this.#inTime(client.connect().then(() => client.subscribe(this.#channel)));
    } catch (error) {
      throw this.#connection.worded(this.#trouble ?? error);
    }
    // The program may end by itself while it only listens.
    client.stream?.unref();
  }

  ping(): Promise<unknown> {
    return this.#inTime(this.#client.ping());
  }

  end(): void {
    const client = this.#client;
    if (client.status === "end") return;
    // The program must not end by itself before the connection has.
    client.stream?.ref();
    client.disconnect();
  }

  #inTime<T>(work: Promise<T>): Promise<T> {
    return inTime(work, this.#timeout, () => new NoAnswer("no answer in time"));
  }
}
