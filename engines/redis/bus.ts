/**
 * Messages between the processes that use the stores of one name: Redis' pub/sub, on a channel of
 * the database and the name. Who subscribes has a connection of his own, as one that subscribes
 * takes no other commands.
 */
import type { Redis } from "ioredis";
import { inTime, startTimer, stopTimer, type Timer, unrefTimer } from "../../platform/timers.ts";
import type { Bus } from "../engine.ts";
import type { RedisConnection } from "./connection.ts";
import { NoAnswer } from "./errors.ts";

/** The first and the longest pause before it is tried again to connect, ms. */
const PAUSE = 50;
const LONGEST_PAUSE = 1_000;
/** How often a server that says nothing is asked whether it is there, ms. */
const BEAT = 2_000;

const buses = new WeakMap<RedisConnection, Map<string, RedisBus>>();

/** What carries messages on a channel: the same for all who share a connection. */
export function busOn(connection: RedisConnection, channel: string, timeout: number): Bus {
  let known = buses.get(connection);
  if (known === undefined) buses.set(connection, known = new Map());
  let bus = known.get(channel);
  if (bus === undefined) known.set(channel, bus = new RedisBus(connection, channel, timeout));
  return bus;
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

  async subscribe(
    onMessage: (message: string) => void,
    onGap: () => void,
  ): Promise<() => Promise<void>> {
    const subscription = new Subscription(
      this.#connection,
      this.#channel,
      this.#timeout,
      onMessage,
    );
    await subscription.begin();
    const following = subscription.follow(onGap);
    return async () => {
      subscription.end();
      await following;
    };
  }
}

/** A subscription, on one connection after the other. */
class Subscription {
  readonly #connection: RedisConnection;
  readonly #channel: string;
  readonly #timeout: number;
  readonly #onMessage: (message: string) => void;
  #client: Redis | undefined;
  #ended: Promise<void> | undefined;
  #isOver = false;
  #wake: (() => void) | undefined;

  constructor(
    connection: RedisConnection,
    channel: string,
    timeout: number,
    onMessage: (message: string) => void,
  ) {
    this.#connection = connection;
    this.#channel = channel;
    this.#timeout = timeout;
    this.#onMessage = onMessage;
  }

  /** Connects and subscribes. */
  async begin(): Promise<void> {
    // Made anew each time: in a cluster another server may have to be asked.
    const client = this.#connection.subscriber();
    this.#client = client;
    let trouble: unknown;
    client.on("error", (error) => trouble = error);
    this.#ended = new Promise((resolve) => client.once("end", () => resolve()));
    client.on("message", (_, message) => this.#onMessage(message));
    try {
      const late = () => new NoAnswer("no answer in time");
      await inTime(
        client.connect().then(() => client.subscribe(this.#channel)),
        this.#timeout,
        late,
      );
      // The program may end by itself while it only listens.
      client.stream?.unref();
    } catch (error) {
      client.disconnect();
      await this.#ended;
      throw this.#connection.worded(trouble ?? error);
    }
  }

  /** Begins anew whenever the connection is lost, and tells of it when nothing is missed any more. */
  async follow(onGap: () => void): Promise<void> {
    while (!this.#isOver) {
      const beat = this.#startBeat();
      await this.#ended;
      stopTimer(beat.timer);
      for (let attempt = 0; !this.#isOver; attempt++) {
        try {
          await this.begin();
          onGap();
          break;
        } catch {
          // What is wrong with the server is told by what is asked of it.
          await this.#pause(Math.min(PAUSE * 2 ** attempt, LONGEST_PAUSE));
        }
      }
    }
    // It may have been connecting when it was ended.
    this.#disconnect();
    await this.#ended;
  }

  end(): void {
    this.#isOver = true;
    this.#disconnect();
    this.#wake?.();
  }

  #disconnect(): void {
    const client = this.#client;
    if (client === undefined || client.status === "end") return;
    // The program must not end by itself before the connection has.
    client.stream?.ref();
    client.disconnect();
  }

  /** Finds out that a link is dead though it is open: nothing comes on it, and nothing is missed. */
  #startBeat(): { timer?: Timer } {
    const client = this.#client!;
    const beat: { timer?: Timer } = {};
    const next = () => {
      beat.timer = startTimer(() => {
        const late = () => new NoAnswer("no answer in time");
        inTime(client.ping(), this.#timeout, late).then(next, () => client.disconnect());
      }, BEAT);
      unrefTimer(beat.timer);
    };
    next();
    return beat;
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = startTimer(resolve, ms);
    unrefTimer(timer);
    await promise;
    stopTimer(timer);
  }
}
