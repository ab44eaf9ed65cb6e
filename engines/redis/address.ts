/**
 * Where the redis engine connects to, from its options. Apart from the engine, as `stash.path`
 * tells it before ioredis is loaded.
 */
import type { EngineLocation } from "../engine.ts";
import { checkOptionNames, type EngineOptions, integerOption } from "../options.ts";

const ENGINE = "redis";
const DEFAULT_URL = "redis://127.0.0.1:6379";
const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;
const DEFAULT_TIMEOUT = 5_000;
/** The longest that a timer of the platform waits, ms. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/** `engineOptions` of the engine "redis". */
export interface RedisEngineOptions {
  /**
   * The server: `redis://user:password@host:port/db`, `rediss:` for TLS, or
   * `unix:///path/to/redis.sock?db=1`. Default: `redis://127.0.0.1:6379`.
   */
  url?: string | URL;
  /**
   * Some of the Sentinels that watch the server, at port 26379 unless they name another: the host in
   * `url` is then the name by which they know it, as in `redis://:password@mymaster/2`. After a
   * failover the next connection is to the new primary.
   */
  sentinels?: (string | URL | RedisNode)[];
  /** Some nodes of a Redis Cluster, instead of `url`; the others are found through them. */
  cluster?: (string | URL | RedisNode)[];
  /**
   * A client of ioredis to use, instead of `url`: a `Redis` or a `Cluster`, made without
   * `keyPrefix`. It is not closed with the stash, and its own settings hold: with ioredis' default
   * ones it sends a change again after it lost its connection, so that a change can be made twice;
   * `maxRetriesPerRequest: 0` prevents that.
   */
  client?: object;
  /** More options of Node's `tls.connect` for `rediss:`, such as `ca`. */
  tls?: Record<string, unknown>;
  /** How long to wait for a connection, and for an answer, ms: 5,000. */
  timeout?: number;
}

/** Host and port of a server. */
export interface RedisNode {
  /** A name or an address. */
  host: string;
  /** Default: 6379. */
  port?: number;
}

/** A client of ioredis, as far as it can be told without ioredis. */
interface GivenClient {
  isCluster?: boolean;
  options: {
    host?: string;
    port?: number;
    path?: string;
    db?: number;
    tls?: unknown;
    sentinels?: unknown;
    name?: string;
  };
}

/** Who knows which server is the primary. */
export interface RedisSentinels {
  /** The name by which they know the server. */
  readonly name: string;
  readonly nodes: readonly Required<RedisNode>[];
  readonly username?: string;
  readonly password?: string;
  readonly tls?: Record<string, unknown>;
}

/** Where to connect, and as whom. */
export interface RedisAddress {
  /** For people: a URL without credentials. */
  readonly path: string;
  /** One server, or the known ones of a cluster; none for a socket. */
  readonly nodes: readonly Required<RedisNode>[];
  readonly isCluster: boolean;
  /** The path of a unix socket. */
  readonly socket?: string;
  /** Who is asked for the server, whose name is not an address then. */
  readonly sentinels?: RedisSentinels;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  /** TLS, with these options. */
  readonly tls?: Record<string, unknown>;
  readonly timeout: number;
  /** The user's own client, which makes all but `path` and `timeout` pointless. */
  readonly client?: object;
}

type Server = Omit<RedisAddress, "path" | "isCluster" | "timeout" | "client">;

/** Where a location's data lives, as `stash.path` shows it: the server, without credentials. */
export function redisPath(_location: EngineLocation, options: EngineOptions): string {
  return redisAddress(options).path;
}

/**
 * Reads the engine's options.
 *
 * @throws {TypeError} When one of them is none of its kind. The message never quotes a URL: it may
 * hold a password.
 */
export function redisAddress(options: EngineOptions): RedisAddress {
  checkOptionNames(ENGINE, options, [
    "url",
    "sentinels",
    "cluster",
    "client",
    "tls",
    "timeout",
  ]);
  const timeout = integerOption(ENGINE, options, "timeout") ?? DEFAULT_TIMEOUT;
  if (timeout > MAX_TIMEOUT) throw wrong("timeout", `must be at most ${MAX_TIMEOUT}`);
  const places = ["url", "cluster", "client"].filter((name) => options[name] !== undefined);
  if (places.length > 1) throw wrong(places[0], `and "${places[1]}" exclude each other`);
  const { url, sentinels, cluster, client, tls } = options;
  if (sentinels !== undefined && url === undefined) {
    throw wrong("sentinels", `needs the server's name in "url", as in redis://mymaster`);
  }
  if (client !== undefined) {
    if (tls !== undefined) throw wrong("tls", `is the client's own when "client" is given`);
    return { ...clientServer(client), timeout, client: client as object };
  }
  const server = cluster !== undefined
    ? clusterServer(cluster)
    : sentinels !== undefined
    ? watchedServer(url, sentinels)
    : oneServer(url ?? DEFAULT_URL, "url");
  const isCluster = cluster !== undefined;
  if (tls === undefined) return { ...server, path: pathOf(server), isCluster, timeout };
  if (typeof tls !== "object" || tls === null) throw wrong("tls", "must be an object");
  if (server.tls === undefined) throw wrong("tls", "needs a URL that begins with rediss:");
  const secure = { ...server, tls: tls as Record<string, unknown> };
  return { ...secure, path: pathOf(secure), isCluster, timeout };
}

function oneServer(value: unknown, option: string, defaultPort = DEFAULT_PORT): Server {
  const url = toURL(value, option);
  if (url.protocol === "unix:") return socketServer(url, option);
  if (url.protocol !== "redis:" && url.protocol !== "rediss:") {
    throw wrong(option, "must be a URL that begins with redis:, rediss: or unix:");
  }
  if (url.search !== "" || url.hash !== "") {
    throw wrong(option, 'must be a URL without "?" and "#"; user and password are percent-encoded');
  }
  const db = url.pathname.replace(/^\//, "");
  return {
    // An IPv6 address stands in brackets in a URL and without them elsewhere.
    nodes: [{
      host: url.hostname.replace(/^\[(.*)\]$/, "$1") || "127.0.0.1",
      port: Number(url.port || defaultPort),
    }],
    db: database(db === "" ? "0" : db, option),
    tls: url.protocol === "rediss:" ? {} : undefined,
    ...credentials(url, option),
  };
}

function socketServer(url: URL, option: string): Server {
  const socket = decode(url.pathname, option);
  if (socket === "" || !["", "localhost"].includes(url.host)) {
    throw wrong(option, "must name the socket's absolute path, as in unix:///run/redis.sock");
  }
  const db = database(url.searchParams.get("db") ?? "0", option);
  return { nodes: [], socket, db, ...credentials(url, option) };
}

function clusterServer(cluster: unknown): Server {
  return { ...several(cluster, "cluster", DEFAULT_PORT), db: 0 };
}

function watchedServer(url: unknown, sentinels: unknown): Server {
  const server = oneServer(url, "url");
  const [place] = server.nodes;
  if (place === undefined) throw wrong("url", `must name the server as "sentinels" know it`);
  const { nodes, tls, username, password } = several(
    sentinels,
    "sentinels",
    DEFAULT_SENTINEL_PORT,
  );
  return { ...server, sentinels: { name: place.host, nodes, tls, username, password } };
}

function several(
  list: unknown,
  option: string,
  defaultPort: number,
): Pick<Server, "nodes" | "tls" | "username" | "password"> {
  if (!Array.isArray(list) || list.length === 0) {
    throw wrong(option, "must be an array of URLs or of { host, port }");
  }
  const servers = list.map((node: unknown) =>
    isNode(node, option, defaultPort)
      ? { nodes: [{ host: node.host, port: node.port ?? defaultPort }], db: 0 }
      : oneServer(node, option, defaultPort)
  );
  for (const { db, socket } of servers) {
    if (socket !== undefined) throw wrong(option, "cannot have a unix socket in it");
    if (db !== 0) throw wrong(option, "has database 0 only: leave the number out of its URLs");
  }
  const withPassword = servers.find(({ password }) => password !== undefined);
  return {
    nodes: servers.flatMap(({ nodes }) => nodes),
    tls: servers.find(({ tls }) => tls !== undefined)?.tls,
    username: withPassword?.username,
    password: withPassword?.password,
  };
}

function isNode(value: unknown, option: string, defaultPort: number): value is RedisNode {
  if (typeof value !== "object" || value === null || value instanceof URL) return false;
  const { host, port = defaultPort } = value as Partial<RedisNode>;
  if (typeof host !== "string" || host === "") throw wrong(option, "has a node without a host");
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw wrong(option, `has a node whose port is ${String(port)}`);
  }
  return true;
}

function clientServer(client: unknown): Omit<RedisAddress, "timeout"> {
  const given = client as Partial<GivenClient & { sendCommand: unknown }> | null;
  if (typeof given?.sendCommand !== "function" || typeof given.options !== "object") {
    throw wrong("client", "must be a Redis or Cluster of ioredis");
  }
  if ((given.options as { keyPrefix?: string }).keyPrefix) {
    throw wrong("client", "must be made without keyPrefix: the engine's keys have their own");
  }
  const isCluster = given.isCluster === true;
  const { host = "127.0.0.1", port = DEFAULT_PORT, path, db = 0, tls, name } = given.options;
  // The nodes of a cluster come and go, and before it connects there are none.
  const nodes = isCluster || path ? [] : [{ host, port }];
  const server: Server = {
    nodes,
    socket: path,
    db,
    tls: tls ? {} : undefined,
    sentinels: given.options.sentinels ? { name: name ?? host, nodes: [] } : undefined,
  };
  return { ...server, isCluster, path: isCluster ? "redis://cluster" : pathOf(server) };
}

function pathOf({ nodes, socket, db, tls, sentinels }: Server): string {
  const database = db === 0 ? "" : `/${db}`;
  const scheme = tls === undefined ? "redis" : "rediss";
  if (sentinels !== undefined) return `${scheme}://${sentinels.name}${database}`;
  if (socket !== undefined) return `unix://${socket}${db === 0 ? "" : `?db=${db}`}`;
  const hosts = nodes.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`);
  return `${scheme}://${hosts.join(",")}${database}`;
}

function credentials(url: URL, option: string): { username?: string; password?: string } {
  if (url.password === "") {
    if (url.username === "") return {};
    throw wrong(
      option,
      "names a user without a password; a password alone is redis://:password@host",
    );
  }
  const username = decode(url.username, option);
  const password = decode(url.password, option);
  return username === "" ? { password } : { username, password };
}

function toURL(value: unknown, option: string): URL {
  if (value instanceof URL) return value;
  if (typeof value !== "string") throw wrong(option, `must be a URL, got ${typeof value}`);
  if (URL.canParse(value)) return new URL(value);
  throw wrong(option, `must be a URL such as ${DEFAULT_URL}`);
}

function database(text: string, option: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw wrong(option, "must name the database by its number, as in redis://127.0.0.1:6379/2");
}

function decode(text: string, option: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // What cannot be decoded may be a password: it is not shown, nor is the error that quotes it.
    throw wrong(option, 'has a "%" that encodes nothing; a "%" itself is written %25');
  }
}

function wrong(option: string, is: string): TypeError {
  return new TypeError(`Option "${option}" of engine "${ENGINE}" ${is}`);
}
