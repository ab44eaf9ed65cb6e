/**
 * Private Redis servers for tests and benches: each in a temporary folder of its own, on a free
 * port of 127.0.0.1 and on a unix socket, ended with the program that started it, whichever way
 * that ends.
 *
 * @module
 */
import { join } from "node:path";
import { freePort, HOST, makeCertificate, requireProgram } from "./servers.ts";

/** How to start a server. */
export interface RedisOptions {
  /** Clients must give it. */
  password?: string;
  /** Speaks TLS on its port, with a certificate made for it (`server.ca`). */
  tls?: boolean;
  /**
   * Keeps every acknowledged write in its append-only file: it is there again after `kill` and
   * `restart`.
   */
  durable?: boolean;
  /** The port of 127.0.0.1 to listen on: a free one by default. */
  port?: number;
  /** A Sentinel with these lines of configuration instead of a server with data. */
  sentinel?: string[];
  /** More arguments, as on the command line: `["--maxmemory", "4mb"]`. */
  args?: string[];
}

/**
 * Becomes the server, and leaves a watcher behind that ends it when the standard input ends: so
 * also when the program at its other end is killed.
 */
const COMMAND = "exec 3<&0; { cat <&3; kill -CONT $$; kill $$; } >/dev/null 2>&1 & " +
  'exec redis-server "$@" </dev/null 3<&-';
const START_MS = 10_000;

/** A running server; `await using` stops it and removes its folder. */
export class RedisServer implements AsyncDisposable {
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** The path of its unix socket. */
  readonly socket: string;
  /** The TLS server's certificate, PEM. */
  readonly ca: string | undefined;
  /** `redis://127.0.0.1:PORT` or `rediss://…`, without a password. */
  readonly url: string;
  readonly #password: string | undefined;
  readonly #folder: string;
  readonly #args: string[];
  #process: Deno.ChildProcess | undefined;
  #starts = 0;

  private constructor(folder: string, port: number, ca: string | undefined, options: RedisOptions) {
    this.#folder = folder;
    this.port = port;
    this.ca = ca;
    this.socket = join(folder, "redis.sock");
    this.url = `${options.tls ? "rediss" : "redis"}://${HOST}:${port}`;
    this.#password = options.password;
    this.#args = serverArgs(folder, port, this.socket, options);
  }

  /** Starts a server; see `startRedis`. */
  static async start(options: RedisOptions): Promise<RedisServer> {
    await requireProgram("redis-server", "redis-server");
    const folder = await Deno.makeTempDir({ prefix: "hashstash_redis_" });
    try {
      const ca = options.tls ? await makeCertificate(folder) : undefined;
      if (options.sentinel) {
        await Deno.writeTextFile(configOf(folder), options.sentinel.join("\n"));
      }
      // Another program may take the port between our look and the server's bind.
      for (let attempt = 1;; attempt++) {
        const server = new RedisServer(folder, options.port ?? freePort(), ca, options);
        try {
          await server.restart();
          return server;
        } catch (error) {
          if (attempt === 5 || !String(error).includes("in use")) throw error;
        }
      }
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }

  /** The URL with a password in it; with `user` also that. */
  urlWith(password: string, user = ""): string {
    return this.url.replace(
      "://",
      `://${encodeURIComponent(user)}:${encodeURIComponent(password)}@`,
    );
  }

  /** Runs `redis-cli` with these arguments; what it printed, without the last line end. */
  async cli(...args: string[]): Promise<string> {
    const auth = this.#password === undefined ? [] : ["--no-auth-warning", "-a", this.#password];
    const { success, stdout, stderr } = await new Deno.Command("redis-cli", {
      args: ["-s", this.socket, ...auth, ...args],
      env: { LC_ALL: "C.UTF-8" },
    }).output();
    const text = new TextDecoder().decode(stdout);
    if (!success) throw new Error(`redis-cli failed: ${text}${new TextDecoder().decode(stderr)}`);
    return text.endsWith("\n") ? text.slice(0, -1) : text;
  }

  /** One line of `INFO`, such as `("commandstats", "cmdstat_get")`; empty when there is none. */
  async info(section: string, field: string): Promise<string> {
    const lines = (await this.cli("INFO", section)).split("\r\n");
    return lines.find((line) => line.startsWith(`${field}:`))?.slice(field.length + 1) ?? "";
  }

  /** Kills the server as a crash would (SIGKILL); `restart` brings it back. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Stops the server (SIGTERM) and keeps its folder; `restart` brings it back. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Holds the server still (SIGSTOP): it accepts connections and answers nothing. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** Lets a frozen server go on. */
  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async #end(signal: Deno.Signal): Promise<void> {
    const server = this.#process;
    if (server === undefined) return;
    this.#process = undefined;
    try {
      server.kill(signal);
      server.kill("SIGCONT");
    } catch (error) {
      // It may have ended by itself, as a server does that could not start.
      if (!(error instanceof TypeError)) throw error;
    }
    await server.status;
    await server.stdin.close();
  }

  /** Starts the server again on the same port and folder, after `kill` or `stop`. */
  async restart(): Promise<void> {
    const log = join(this.#folder, `${++this.#starts}.log`);
    await Deno.writeTextFile(log, "");
    this.#process = new Deno.Command("sh", {
      args: ["-c", COMMAND, "sh", ...this.#args, "--logfile", log],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    for (const end = Date.now() + START_MS;;) {
      const text = await Deno.readTextFile(log);
      if (/Ready to accept connections|Sentinel ID is/.test(text)) return;
      const failed = /^.*(in use|[Ff]atal|[Ff]ailed|Can't).*$/m.exec(text);
      if (failed || Date.now() > end) {
        await this.stop();
        throw new Error(`redis-server did not start: ${failed?.[0] ?? text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Ends the server and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/**
 * Starts a Redis server of this program's own.
 *
 * @example
 * ```ts
 * await using server = await startRedis();
 * const stash = new HashStash({ engine: "redis", engineOptions: { url: server.url } });
 * ```
 */
export function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  return RedisServer.start(options);
}

/** Starts a Sentinel that calls the server "primary", and has a replica take its place when it is gone. */
export function startSentinel({ port }: RedisServer): Promise<RedisServer> {
  return startRedis({
    sentinel: [
      `sentinel monitor primary ${HOST} ${port} 1`,
      "sentinel down-after-milliseconds primary 300",
      "sentinel failover-timeout primary 2000",
    ],
  });
}

/** A Redis Cluster of three masters; `await using` stops it. */
export class RedisCluster implements AsyncDisposable {
  /** The three servers, each with a third of the slots. */
  readonly nodes: RedisServer[];
  /** Their URLs. */
  readonly urls: string[];
  /** The ports by which the servers speak with each other. */
  readonly #busPorts: number[] = [];

  /** @param nodes The running servers. */
  constructor(nodes: RedisServer[]) {
    this.nodes = nodes;
    this.urls = nodes.map((node) => node.url);
  }

  /** Starts a server that knows of the others once they have met. */
  async startNode(options: RedisOptions = {}): Promise<RedisServer> {
    const busPort = freePort();
    const args = ["--cluster-enabled", "yes", "--cluster-port", String(busPort)];
    const node = await startRedis({ ...options, args: [...args, ...options.args ?? []] });
    this.#busPorts.push(busPort);
    return node;
  }

  /** Introduces a server to the first one. */
  async meet(node: RedisServer): Promise<void> {
    const [first] = this.nodes;
    await node.cli("CLUSTER", "MEET", HOST, String(first.port), String(this.#busPorts[0]));
  }

  /** Waits until all of these say that the cluster is whole and has so many servers. */
  async whole(nodes: RedisServer[]): Promise<void> {
    const isWhole = new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${nodes.length}`);
    for (const end = Date.now() + START_MS;;) {
      const states = await Promise.all(nodes.map((node) => node.cli("CLUSTER", "INFO")));
      if (states.every((state) => isWhole.test(state))) return;
      if (Date.now() > end) throw new Error(`The cluster did not form: ${states[0]}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Starts a server without keys of its own that belongs to the cluster; the caller stops it. */
  async join(): Promise<RedisServer> {
    const node = await this.startNode();
    await node.cli("CLUSTER", "SET-CONFIG-EPOCH", String(this.nodes.length + 1));
    await this.meet(node);
    await this.whole([...this.nodes, node]);
    return node;
  }

  /** Stops the servers and removes their folders. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
  }
}

/** Starts a Redis Cluster of three masters and waits until all three say that it is whole. */
export async function startRedisCluster(options: RedisOptions = {}): Promise<RedisCluster> {
  const nodes: RedisServer[] = [];
  const cluster = new RedisCluster(nodes);
  try {
    for (let i = 0; i < 3; i++) {
      nodes.push(await cluster.startNode(options));
      cluster.urls.push(nodes[i].url);
    }
    const thirds = [[0, 5460], [5461, 10922], [10923, 16383]];
    for (const [i, node] of nodes.entries()) {
      await node.cli("CLUSTER", "ADDSLOTSRANGE", String(thirds[i][0]), String(thirds[i][1]));
      await node.cli("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
      if (i > 0) await cluster.meet(node);
    }
    await cluster.whole(nodes);
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/** Where a Sentinel keeps what it knows. */
function configOf(folder: string): string {
  return join(folder, "sentinel.conf");
}

function serverArgs(
  folder: string,
  port: number,
  socket: string,
  { password, tls, durable, sentinel, args = [] }: RedisOptions,
): string[] {
  const all = ["--bind", HOST, "--dir", folder, "--unixsocket", socket];
  if (sentinel) return [configOf(folder), "--sentinel", ...all, "--port", String(port), ...args];
  all.push(
    "--save",
    "",
    "--enable-debug-command",
    "yes",
    "--proc-title-template",
    "redis-server (test)",
  );
  if (durable) all.push("--appendonly", "yes", "--appendfsync", "always");
  if (password !== undefined) all.push("--requirepass", password);
  if (tls) {
    all.push("--port", "0", "--tls-port", String(port), "--tls-auth-clients", "no");
    all.push(
      "--tls-cert-file",
      join(folder, "cert.pem"),
      "--tls-key-file",
      join(folder, "key.pem"),
    );
    all.push("--tls-ca-cert-file", join(folder, "cert.pem"));
  } else {
    all.push("--port", String(port));
  }
  return [...all, ...args];
}
