/**
 * Where the postgres engine connects to, from its options. Apart from the engine, as `stash.path`
 * tells it before npm:pg is loaded.
 */
import { env } from "../../platform/system.ts";
import { LONGEST_TIMER } from "../../platform/timers.ts";
import type { EngineLocation } from "../engine.ts";
import { checkOptionNames, type EngineOptions, integerOption } from "../options.ts";

const ENGINE = "postgres";
const EXAMPLE = "postgres://user@127.0.0.1:5432/database";
const DEFAULT_PORT = 5432;
const DEFAULT_TABLE = "hashstash";
const DEFAULT_TIMEOUT = 5_000;
const DEFAULT_POOL = 4;
/** The longest name that Postgres doesn't cut, bytes. */
const MAX_NAME = 63;

/** `engineOptions` of the engine "postgres". */
export interface PostgresEngineOptions {
  /**
   * The server: `postgres://user:password@host:port/database`, with `?sslmode=require` for TLS, or
   * `?host=/run/postgresql` for the folder of its unix socket. Default: `$DATABASE_URL`.
   */
  url?: string | URL;
  /**
   * The table that has the entries of all stashes, made when it is absent: `name` or `schema.name`,
   * as it is written there, not in lower case. Default: `hashstash`.
   */
  table?: string;
  /**
   * A `Pool` of npm:pg to use, instead of `url`. It is not closed with the stash, and its own settings
   * hold: give it a `connectionTimeoutMillis`, or who waits for a connection waits without a limit.
   */
  client?: object;
  /** More options of Node's `tls.connect`, such as `ca`; with these TLS is used. */
  tls?: Record<string, unknown>;
  /**
   * How long to wait for a connection, and for an answer, ms: 5,000. One timer looks after all that is
   * awaited, so that it may take a quarter longer.
   */
  timeout?: number;
  /** The most connections that this process has to the server: 4. */
  pool?: number;
}

/** A pool of npm:pg, as far as it can be told without npm:pg. */
interface GivenPool {
  connect: unknown;
  options: {
    connectionString?: string;
    host?: string;
    port?: number;
    database?: string;
    user?: string;
  };
}

/** Where to connect, and as whom. */
export interface PostgresAddress {
  /** For people: a URL without credentials. */
  readonly path: string;
  /** A name or address, or the folder of a unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database?: string;
  readonly user?: string;
  readonly password?: string;
  /** How the server's list of connections names this one. */
  readonly applicationName?: string;
  /** TLS, with these options. */
  readonly tls?: Record<string, unknown>;
  /** The table's name, after that of its schema when it has one. */
  readonly table: readonly string[];
  readonly timeout: number;
  readonly pool: number;
  /** The user's own pool. */
  readonly client?: object;
}

type Server = Pick<
  PostgresAddress,
  "host" | "port" | "database" | "user" | "password" | "applicationName" | "tls"
>;

/** Where a location's data lives, as `stash.path` shows it: the server, without credentials. */
export function postgresPath(_location: EngineLocation, options: EngineOptions): string {
  return postgresAddress(options).path;
}

/**
 * Reads the engine's options.
 *
 * @throws {TypeError | RangeError} When one of them is none of its kind. The message never quotes a
 * URL: it may hold a password.
 */
export function postgresAddress(options: EngineOptions): PostgresAddress {
  checkOptionNames(ENGINE, options, ["url", "table", "client", "tls", "timeout", "pool"]);
  const timeout = integerOption(ENGINE, options, "timeout") ?? DEFAULT_TIMEOUT;
  if (timeout > LONGEST_TIMER) {
    throw new RangeError(optionText("timeout", `must be at most ${LONGEST_TIMER}`));
  }
  const common = {
    table: tableParts(options.table ?? DEFAULT_TABLE),
    timeout,
    pool: integerOption(ENGINE, options, "pool") ?? DEFAULT_POOL,
  };
  const { url, client, tls } = options;
  if (client !== undefined) {
    for (const name of ["url", "tls", "pool"]) {
      if (options[name] !== undefined) throw wrong(name, `and "client" exclude each other`);
    }
    const server = poolServer(client);
    return { ...server, ...common, path: pathOf(server, common.table), client: client as object };
  }
  const server = oneServer(url ?? defaultUrl(), url === undefined ? "$DATABASE_URL" : undefined);
  if (tls !== undefined && (typeof tls !== "object" || tls === null)) {
    throw wrong("tls", "must be an object");
  }
  return {
    ...server,
    ...common,
    ...tls === undefined ? {} : { tls: { ...server.tls, ...tls } },
    path: pathOf(server, common.table),
  };
}

function defaultUrl(): string {
  let url: string | undefined;
  try {
    url = env("DATABASE_URL");
  } catch (cause) {
    throw new TypeError(
      `Engine "${ENGINE}" looks for its server in the environment: pass the option "url", or allow ` +
        `--allow-env=DATABASE_URL`,
      { cause },
    );
  }
  if (url) return url;
  throw new TypeError(
    `Engine "${ENGINE}" needs a server: pass the option "url", as in ${EXAMPLE}, or set DATABASE_URL`,
  );
}

/** @param variable Where the URL comes from, when that is not the option. */
function oneServer(value: unknown, variable?: string): Server {
  const isWrong = (is: string) =>
    variable === undefined ? wrong("url", is) : new TypeError(`${variable} ${is}`);
  if (typeof value !== "string" && !(value instanceof URL)) {
    throw isWrong(`must be a URL, got ${typeof value}`);
  }
  // As Postgres' own programs take it: a login, and no host where the socket's folder is named.
  if (typeof value === "string") {
    value = value.replace(/^(\w+:\/\/[^/?#@]*@)(?=[/?#]|$)/, "$1localhost");
  }
  if (typeof value === "string" && !URL.canParse(value)) {
    throw isWrong(`must be a URL such as ${EXAMPLE}; user and password are percent-encoded`);
  }
  const url = new URL(value as string | URL);
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
    throw isWrong("must be a URL that begins with postgres: or postgresql:");
  }
  if (url.hash !== "") {
    throw isWrong('must be a URL without "#"; user and password are percent-encoded');
  }
  const decode = (text: string) => {
    try {
      return decodeURIComponent(text);
    } catch {
      // What cannot be decoded may be a password: it is not shown, nor is the error that quotes it.
      throw isWrong('has a "%" that encodes nothing; a "%" itself is written %25');
    }
  };
  const present = (text: string) => text === "" ? undefined : decode(text);
  let host = present(url.hostname);
  let applicationName: string | undefined;
  let tls: Record<string, unknown> | undefined;
  for (const [name, given] of url.searchParams) {
    if (name === "host") host = given;
    else if (name === "application_name") applicationName = given;
    else if (name === "sslmode") tls = tlsOf(given, isWrong);
    else {
      throw isWrong(
        `has the parameter "${name}"; those that are known are host, sslmode, application_name`,
      );
    }
  }
  if (host !== undefined && host.includes("/") && !host.startsWith("/")) {
    throw isWrong(
      "must name the socket's folder by its absolute path, as in ?host=/run/postgresql",
    );
  }
  return {
    // An IPv6 address stands in brackets in a URL and without them elsewhere.
    host: host?.replace(/^\[(.*)\]$/, "$1") ?? "127.0.0.1",
    port: Number(url.port || DEFAULT_PORT),
    database: present(url.pathname.replace(/^\//, "")),
    user: present(url.username),
    password: present(url.password),
    applicationName,
    tls,
  };
}

/** What `sslmode` means. Where a certificate is sent it is checked, unless that is refused. */
function tlsOf(
  mode: string,
  isWrong: (is: string) => TypeError,
): Record<string, unknown> | undefined {
  switch (mode) {
    case "disable":
      return undefined;
    case "require":
    case "verify-ca":
    case "verify-full":
      return {};
    case "no-verify":
      return { rejectUnauthorized: false };
    default:
      throw isWrong("has an sslmode other than disable, require, verify-full and no-verify");
  }
}

function poolServer(client: unknown): Server {
  const given = client as Partial<GivenPool> | null;
  if (
    typeof given?.connect !== "function" || typeof given.options !== "object" ||
    given.options === null
  ) {
    throw wrong("client", "must be a Pool of npm:pg");
  }
  const { connectionString, host = "127.0.0.1", port = DEFAULT_PORT, database, user } =
    given.options;
  if (connectionString !== undefined && URL.canParse(connectionString)) {
    const url = new URL(connectionString);
    return {
      host: url.searchParams.get("host") ?? (decoded(url.hostname) || host),
      port: Number(url.port || port),
      database: decoded(url.pathname.slice(1)) || undefined,
      user: decoded(url.username) || undefined,
    };
  }
  return { host, port, database, user };
}

/** Without its percent-encoding, unless that is none: what npm:pg makes of it is its own affair. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function tableParts(table: unknown): readonly string[] {
  if (typeof table !== "string") throw wrong("table", `must be a string, got ${typeof table}`);
  const parts = table.split(".");
  const encoder = new TextEncoder();
  for (const part of parts) {
    const { length } = encoder.encode(part);
    if (parts.length > 2 || length === 0 || length > MAX_NAME || part.includes("\0")) {
      throw wrong(
        "table",
        `must be a table's name, or schema.table, of at most ${MAX_NAME} bytes each`,
      );
    }
  }
  return parts;
}

/** Where no database is named, Postgres takes the one of the user's name. */
function pathOf(
  { host, port, user = "", database = user }: Server,
  table: readonly string[],
): string {
  const query = new URLSearchParams();
  if (host.startsWith("/")) query.set("host", host);
  const name = table.join(".");
  if (name !== DEFAULT_TABLE) query.set("table", name);
  const address = host.startsWith("/") ? "" : host.includes(":") ? `[${host}]` : host;
  const search = query.size === 0 ? "" : `?${query.toString().replaceAll("%2F", "/")}`;
  // Of a socket the port is a part of its file's name.
  const place = address === "" && port === DEFAULT_PORT ? "" : `${address || "localhost"}:${port}`;
  return `postgres://${place}/${encodeURIComponent(database)}${search}`;
}

function wrong(option: string, is: string): TypeError {
  return new TypeError(optionText(option, is));
}

function optionText(option: string, is: string): string {
  return `Option "${option}" of engine "${ENGINE}" ${is}`;
}
