import { Cluster, Redis, type RedisOptions } from "ioredis";
import type { Buffer } from "node:buffer";
import { delay, inTime, type Timer, unrefTimer } from "../../platform/timers.ts";
import { type Hold, objectId, SharedResources } from "../shared.ts";
import type { RedisAddress, RedisSentinels } from "./address.ts";
import { Clocks } from "../clocks.ts";
import { NoAnswer, redisError } from "./errors.ts";
import type { DeadlineCommand } from "./format.ts";

/** How long a closed socket may take to end on its own, ms. */
const LINGER = 20;
/** How often a cluster's client that ends is looked at, with such a pause before each. */
const LOOKS = 10;
/** The longest pause between two attempts to connect again, ms. */
const RETRY_PAUSE = 1_000;
/** How long a connection to a server that takes no writes is kept at least, ms. */
const RECONNECT_PAUSE = 1_000;
/** How long to wait until a server that reads its data is asked again whether it is done, ms. */
const LOADING_PAUSE = 250;
/** How long opening waits for the servers to tell their time, ms. */
const CLOCK_WAIT = 300;
/** In how many steps the time for an answer runs out. */
const STEPS = 4;

const DEADLINE: readonly DeadlineCommand[] = ["pexpiretime"];
const TIME_LEFT: readonly DeadlineCommand[] = ["pttl"];
const DEADLINE_AND_TIME_LEFT: readonly DeadlineCommand[] = ["pexpiretime", "pttl"];

/** What a command takes. */
export type RedisArgument = string | number | Buffer;

/** A command as ioredis takes it: its method, its arguments. */
export type RedisCommand = [method: string, ...args: RedisArgument[]];

/** An error as ioredis emits it. */
interface ClientError extends Error {
  lastNodeError?: Error;
  /** What the server refused. */
  command?: { name: string };
}

/** An answer that is awaited. */
interface Waiting {
  steps: number;
  reject(error: unknown): void;
}

/**
 * A client of ioredis that several handles use. Each call ends within a bounded time, whatever
 * happens to the server: what was under way when the connection went is rejected and never sent
 * twice, what comes later connects anew.
 */
export class RedisConnection {
  readonly client: Redis | Cluster;
  /** Whether the servers' clocks show the same as ours. */
  readonly clocks = new Clocks(() => this.#clockServers());
  readonly #address: RedisAddress;
  readonly #waiting = new Set<Waiting>();
  #clock: Timer | undefined;
  #isOpen = false;
  #readySince = 0;
  /** Whether the server knows `PEXPIRETIME`. */
  #tellsDeadlines = true;
  #trouble: unknown;
  readonly #onError = (error: ClientError) => {
    // A cluster's own error only says that no server was of use.
    this.#trouble = error.lastNodeError ?? error;
    if (error.command?.name === "select") this.#leave(error);
  };
  readonly #onReady = () => {
    this.#trouble = undefined;
    this.#readySince = performance.now();
    this.#keepAlive(this.#waiting.size > 0);
    // It may be another server than before.
    this.clocks.forget();
  };

  private constructor(address: RedisAddress) {
    this.#address = address;
    // The option was checked to be one, as far as that goes.
    this.client = address.client as Redis | Cluster | undefined ?? this.#makeClient();
    this.client.on("error", this.#onError);
    this.client.on("node error", this.#onError);
    this.client.on("ready", this.#onReady);
  }

  /** Connects. */
  static async open(address: RedisAddress): Promise<RedisConnection> {
    const connection = new RedisConnection(address);
    try {
      await connection.#open();
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /**
   * How to ask this server for a deadline: the first command tells the state of an entry, the last
   * one the time by our own clock.
   */
  get deadlineCommands(): readonly DeadlineCommand[] {
    if (!this.#tellsDeadlines) return TIME_LEFT;
    return this.clocks.agree ? DEADLINE : DEADLINE_AND_TIME_LEFT;
  }

  /** Whether keys live on several servers, so that a command can be about one of them only. */
  get isCluster(): boolean {
    return this.#address.isCluster;
  }

  /**
   * Sends commands and gives their answers; rejects with the first error. On one server all of them
   * go in one round trip; in a cluster each group goes to the server of its key.
   */
  async sendAll(groups: RedisCommand[][]): Promise<unknown[]> {
    const sets = this.isCluster ? groups : [groups.flat()];
    const replies = await Promise.all(
      sets.map((commands) =>
        this.run(async (client) => await client.pipeline(commands).exec() ?? [])
      ),
    );
    return replies.flat().map(([error, reply]) => {
      if (error !== null) throw this.#error(error, true);
      return reply;
    });
  }

  /** Awaits what `call` gets from the client. */
  run<T>(call: (client: Redis | Cluster) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      // What a client of the user's keeps for later, it may send later.
      const sent = this.client.status === "ready" || this.#address.client !== undefined;
      const fail = (error: unknown) => {
        this.#done(waiting);
        reject(this.#error(error, sent));
      };
      const waiting: Waiting = { steps: 0, reject: fail };
      this.#begin(waiting);
      call(this.client).then((value) => {
        this.#done(waiting);
        resolve(value);
      }, fail);
    });
  }

  #begin(waiting: Waiting): void {
    this.#waiting.add(waiting);
    if (this.#waiting.size === 1) this.#keepAlive(true);
    this.#clock ??= this.#startClock();
  }

  #done(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    if (this.#waiting.size === 0) this.#keepAlive(false);
  }

  /** Lets the program end by itself while no answer is awaited, though the connection is open. */
  #keepAlive(isBusy: boolean): void {
    const { client } = this;
    if (client === this.#address.client) return;
    for (const { stream } of isCluster(client) ? socketsOf(client) : [client]) {
      if (stream === undefined || stream.connecting || stream.destroyed) continue;
      if (isBusy) stream.ref();
      else stream.unref();
    }
  }

  #error(error: unknown, sent: boolean): Error {
    return redisError({ error, trouble: this.#trouble, sent }, this.#address);
  }

  /**
   * A client, not connected, of the same server, in a cluster of one of them: for who has to have a
   * connection of his own. It does not connect again by itself.
   */
  subscriber(): Redis {
    const { client } = this;
    const nodes = isCluster(client) ? client.nodes() : [client];
    const node = nodes[Math.floor(Math.random() * nodes.length)];
    if (node === undefined) throw new Error("no server of the cluster is known");
    return node.duplicate({
      // Channels are the same in all databases.
      db: 0,
      lazyConnect: true,
      autoResubscribe: false,
      connectTimeout: this.#address.timeout,
      disconnectTimeout: LINGER,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      reconnectOnError: null,
    });
  }

  /** What went wrong without a command of this connection, in words and without secrets. */
  worded(error: unknown): Error {
    return redisError({ error, trouble: undefined, sent: false }, this.#address);
  }

  /** The servers that hold keys. */
  async masters(): Promise<Redis[]> {
    const { client } = this;
    if (!isCluster(client)) return [client];
    return await this.run(async () => {
      // Looked up each time: a server that joined would not be known, and its keys seem gone, and
      // one that went away is forgotten until somebody asks for one of its keys.
      await new Promise<void>((resolve) => client.refreshSlotsCache(() => resolve()));
      const all = owners(client);
      if (all === undefined) throw new Error("a part of the cluster has no server");
      return all;
    });
  }

  /** Disconnects; a client of the user's stays as it is. */
  async close(): Promise<void> {
    clearTimeout(this.#clock);
    const { client } = this;
    if (client === this.#address.client) {
      client.off("error", this.#onError);
      client.off("node error", this.#onError);
      client.off("ready", this.#onReady);
      return;
    }
    this.#keepAlive(true);
    const ends = (isCluster(client) ? socketsOf(client) : [client]).map(ended);
    if (client.status !== "end") client.disconnect();
    await Promise.all(ends);
    if (!isCluster(client)) return;
    // What looks for servers, and the connection to one that has left, have timers that no event
    // tells of.
    for (let i = 0; i < LOOKS; i++) {
      await delay(LINGER);
      if (!client["isRefreshing"]) return;
    }
  }

  async #open(): Promise<void> {
    // A client of the user's connects at its first command, if it has not yet.
    if (this.#address.client === undefined) await this.run((client) => client.connect());
    // It may have been refused its database when nobody looked.
    else if (this.#address.db !== 0) await this.run((client) => client.select(this.#address.db));
    this.#isOpen = true;
    this.#tellsDeadlines = await this.run(async (client) => {
      try {
        await client.pexpiretime("");
      } catch (error) {
        const message = String(error);
        if (/unknown command/i.test(message)) return false;
        // The user may have rights on the engine's keys only.
        if (!message.includes("NOPERM")) throw error;
      }
      return true;
    });
    // Not for long, and it is no reason to fail: until it is known, deadlines are told otherwise.
    await inTime(this.clocks.compare(), CLOCK_WAIT, () => new NoAnswer("no time"))
      .catch(() => undefined);
  }

  /** Asks all servers that are known for their time. */
  #clockServers() {
    const { client } = this;
    const servers = isCluster(client) ? owners(client) ?? [] : [client];
    return servers.map((server) => () => server.time());
  }

  #makeClient(): Redis | Cluster {
    const { nodes, isCluster, socket, sentinels, db, username, password, tls, timeout } =
      this.#address;
    const pause = (times: number) => this.#isOpen ? Math.min(50 * times, RETRY_PAUSE) : null;
    const common = {
      username,
      password,
      tls,
      connectTimeout: timeout,
      disconnectTimeout: LINGER,
      // What was sent and not answered is rejected at once: sent again, it could be done twice.
      maxRetriesPerRequest: 0,
      maxLoadingRetryTime: LOADING_PAUSE,
      reconnectOnError: (error: Error) => this.#isDemoted(error),
    };
    if (!isCluster) {
      const place = sentinels !== undefined
        ? watched(sentinels, this.#address, pause)
        : socket === undefined
        ? nodes[0]
        : { path: socket };
      return new Redis({ ...place, ...common, db, lazyConnect: true, retryStrategy: pause });
    }
    const cluster = new Cluster([...nodes], {
      lazyConnect: true,
      clusterRetryStrategy: pause,
      // Told at once: what waits to be tried again outlives its call, and the connection.
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      slotsRefreshTimeout: timeout,
      // The default one would look names up by itself, and certificates could not be checked
      // against them.
      dnsLookup: (host, callback) => callback(null, host),
      redisOptions: { ...common, socketTimeout: timeout },
    });
    // It would keep what came while no server was there until one is, however late.
    cluster.on("close", () => cluster["flushQueue"](new Error("Connection is closed.")));
    return cluster;
  }

  /** One timer for all that is awaited: one for each would cost as much as the rest of a call. */
  #startClock(): Timer {
    const clock = setTimeout(() => {
      this.#clock = undefined;
      const late = [...this.#waiting].filter((waiting) => ++waiting.steps > STEPS);
      for (const { reject } of late) reject(new NoAnswer("no answer in time"));
      if (late.length > 0) this.#reconnect();
      if (this.#waiting.size > 0) this.#clock = this.#startClock();
    }, this.#address.timeout / STEPS);
    // The connection keeps the program running, if need be.
    unrefTimer(clock);
    return clock;
  }

  /**
   * Whether an error says that the server takes no writes, so that the connection is to be made
   * anew: after a failover the name leads to another server, while the old one stays up as its
   * replica. Not at once again, where it stays a replica.
   */
  #isDemoted(error: Error): boolean {
    return error.message.includes("READONLY") &&
      performance.now() - this.#readySince > RECONNECT_PAUSE;
  }

  /**
   * Leaves a connection whose database could not be selected, before anything else is sent on it:
   * ioredis only tells of it, and goes on in database 0, now and each time it connects again.
   */
  #leave(error: Error): void {
    const { client } = this;
    if (isCluster(client)) return;
    client["flushQueue"](error);
    client.disconnect(true);
  }

  /** Leaves a connection that is open and dead. In a cluster each server's has a timer. */
  #reconnect(): void {
    const { client } = this;
    if (client === this.#address.client || isCluster(client)) return;
    if (["connecting", "connect", "ready"].includes(client.status)) client.disconnect(true);
  }
}

const connections = new SharedResources<RedisConnection>((connection) => connection.close());

/** Connects, or joins those who are connected to the same server with the same options. */
export function connect(address: RedisAddress): Promise<Hold<RedisConnection>> {
  const { client, tls, ...rest } = address;
  const key = JSON.stringify({ ...rest, client: objectId(client), tls: objectId(tls) });
  return connections.acquire(key, () => RedisConnection.open(address));
}

/** How ioredis is told of a server that Sentinels know. */
function watched(
  { name, nodes, username, password, tls }: RedisSentinels,
  address: RedisAddress,
  pause: (times: number) => number | null,
): RedisOptions {
  return {
    name,
    sentinels: [...nodes],
    sentinelUsername: username,
    sentinelPassword: password,
    sentinelTLS: tls,
    enableTLSForSentinelMode: address.tls !== undefined,
    sentinelRetryStrategy: pause,
    sentinelCommandTimeout: address.timeout,
  };
}

/** Tells the two kinds of client apart. */
export function isCluster(client: Redis | Cluster): client is Cluster {
  return client.isCluster;
}

/** All connections of a cluster: subscriptions have one of their own, used or not. */
function socketsOf(cluster: Cluster): Redis[] {
  const subscriber: Redis | null = cluster["subscriber"].getInstance();
  return subscriber === null ? cluster.nodes() : [...cluster.nodes(), subscriber];
}

/** The servers that hold a part of the cluster, or `undefined` when one of them is not known. */
function owners(cluster: Cluster): Redis[] | undefined {
  const nodes = new Map(
    cluster.nodes("master").map((node) => [`${node.options.host}:${node.options.port}`, node]),
  );
  const names = new Set(cluster.slots.map(([master]) => master));
  const found = [...names].map((name) => nodes.get(name)).filter((node) => node !== undefined);
  return found.length === names.size && found.length > 0 ? found : undefined;
}

/** Waits until a client that is about to be disconnected has no socket and no timer. */
async function ended(client: Redis): Promise<void> {
  if (client.status === "end" || client.status === "wait") return;
  // Between two attempts there is no socket whose end it would tell, only its timer for that.
  if (client.status === "reconnecting") await delay(LINGER);
  else await new Promise<void>((resolve) => client.once("end", resolve));
}
