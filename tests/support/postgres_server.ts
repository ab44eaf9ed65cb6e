/**
 * Postgres servers for tests and benches: one that all tests of a run share, each in a database of its
 * own, and private ones for what harms a server. All are in temporary folders, on free ports of
 * 127.0.0.1 and on unix sockets, and end with the program that started them, whichever way that ends.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, HOST, makeCertificate } from "./servers.ts";

/** How to start a server. */
export interface PostgresOptions {
  /** Clients on its port must give it. */
  password?: string;
  /** Speaks TLS on its port, with a certificate made for it (`server.ca`). */
  tls?: boolean;
  /** More settings: `["max_connections=5"]`. */
  settings?: string[];
  /** Has a disk of so many bytes at `server.disk`, which only the server sees: for a tablespace. */
  disk?: number;
}

/** The superuser, who is also whom tests connect as. */
const USER = "postgres";
const DATABASE = "postgres";
const START_MS = 30_000;
/** Nobody: Postgres refuses to run as root. */
const NOBODY = 65_534;

/** What a server needs no more than for tests: it may lose everything when the machine crashes. */
const SETTINGS = ["fsync=off", "full_page_writes=off", "max_connections=300", "timezone=UTC"];

/** Who the server runs as. */
export const RUN_AS = Deno.build.os !== "windows" && Deno.uid() === 0
  ? { uid: NOBODY, gid: NOBODY }
  : {};

/**
 * Becomes the server, and leaves a watcher behind that ends it when the standard input ends: so
 * also when the program at its other end is killed. Twice forked: Postgres minds children that it
 * does not know.
 */
export const WATCHED = "log=$1; shift; exec 3<&0; ( { cat <&3; kill -CONT $$; kill -QUIT $$; } " +
  '>/dev/null 2>&1 & ); exec "$@" </dev/null >>"$log" 2>&1 3<&-';

/**
 * Mounts a file system of $1 bytes at $2, as root of a user namespace, and goes on as somebody else:
 * also there Postgres refuses to run as root.
 */
const DISK_COMMAND = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && ' +
  `exec unshare --user --map-user=${NOBODY} --map-group=${NOBODY} "$@"`;

/** Starts a server that ends, and takes its folder away, when process $1 is gone. */
const SHARED_COMMAND = "parent=$1; folder=$2; shift 2; ( " +
  '"$@" </dev/null >>"$folder/log" 2>&1 & server=$!; ' +
  'while { kill -0 "$parent" 2>/dev/null || [ -d "/proc/$parent" ]; } && kill -0 $server; ' +
  "do sleep 0.5; done; " +
  'kill -QUIT $server; wait $server; rm -rf "$folder"; ) </dev/null >/dev/null 2>&1 &';

/** A running server; `await using` stops it and removes its folder. */
export class PostgresServer implements AsyncDisposable {
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** The folder of its unix socket, where no password is asked for. */
  readonly socketFolder: string;
  /** The TLS server's certificate, PEM. */
  readonly ca: string | undefined;
  /** `postgres://postgres@127.0.0.1:PORT/postgres`, without a password. */
  readonly url: string;
  readonly #folder: string;
  readonly #settings: string[];
  readonly #diskSize: number | undefined;
  #process: Deno.ChildProcess | undefined;

  private constructor(
    folder: string,
    port: number,
    ca: string | undefined,
    { settings = [], tls, disk }: PostgresOptions,
  ) {
    this.#diskSize = disk;
    this.#folder = folder;
    this.port = port;
    this.socketFolder = folder;
    this.ca = ca;
    this.url = `postgres://${USER}@${HOST}:${port}/${DATABASE}`;
    const certificate = [
      `ssl_cert_file=${join(folder, "cert.pem")}`,
      `ssl_key_file=${join(folder, "key.pem")}`,
    ];
    this.#settings = [...SETTINGS, ...tls ? ["ssl=on", ...certificate] : [], ...settings];
  }

  /** Starts a server; see `startPostgres`. */
  static async start(options: PostgresOptions): Promise<PostgresServer> {
    const folder = await makeFolder();
    try {
      await initialize(folder);
      if (options.disk !== undefined) {
        await Deno.mkdir(join(folder, "disk"));
        await giveAway(join(folder, "disk"));
      }
      const ca = options.tls ? await makeCertificate(folder) : undefined;
      for (const file of ca === undefined ? [] : ["cert.pem", "key.pem"]) {
        await giveAway(join(folder, file));
      }
      if (options.password !== undefined) {
        await Deno.writeTextFile(
          join(folder, "data", "pg_hba.conf"),
          `local all all trust\nhost all all ${HOST}/32 scram-sha-256\n`,
        );
      }
      // Another program may take the port between our look and the server's bind.
      for (let attempt = 1;; attempt++) {
        const server = new PostgresServer(folder, freePort(), ca, options);
        try {
          await server.restart();
          if (options.password !== undefined) {
            await server.sql(`ALTER USER ${USER} PASSWORD '${options.password}'`);
          }
          return server;
        } catch (error) {
          await server.kill();
          if (attempt === 5 || !String(error).includes("could not bind")) throw error;
        }
      }
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }

  /** The folder of its small disk. */
  get disk(): string {
    return join(this.#folder, "disk");
  }

  /** The URL with a password in it; with `user` and `database` also those. */
  urlWith(password: string, user = USER, database = DATABASE): string {
    const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
    return `postgres://${login}@${HOST}:${this.port}/${database}`;
  }

  /** Runs SQL with `psql`; the rows that it printed, columns with `|` between them. */
  sql(text: string, database = DATABASE): Promise<string> {
    return psql(this.socketFolder, this.port, text, database);
  }

  /** What the server has written to its log since it was started. */
  async log(): Promise<string> {
    return await Deno.readTextFile(join(this.#folder, "log"));
  }

  /** Kills the server as a crash would (SIGKILL); `restart` brings it back. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Stops the server (SIGINT, which waits for no client); `restart` brings it back. */
  async stop(): Promise<void> {
    await this.#end("SIGINT");
  }

  /** Holds still (SIGSTOP) what listens and all who serve clients now: nothing is answered. */
  async freeze(): Promise<() => void> {
    const backends = await this.sql(
      "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' " +
        "AND pid <> pg_backend_pid()",
    );
    const pids = backends.split("\n").filter((pid) => pid !== "").map(Number);
    this.#process?.kill("SIGSTOP");
    for (const pid of pids) Deno.kill(pid, "SIGSTOP");
    return () => {
      this.#process?.kill("SIGCONT");
      for (const pid of pids) signal(pid, "SIGCONT");
    };
  }

  async #end(how: Deno.Signal): Promise<void> {
    const server = this.#process;
    if (server === undefined) return;
    this.#process = undefined;
    try {
      server.kill(how);
      server.kill("SIGCONT");
    } catch (error) {
      // It may have ended by itself, as a server does that could not start.
      if (!(error instanceof TypeError)) throw error;
    }
    await server.status;
    await server.stdin.close();
  }

  /** Puts an empty database in the place of what there is, while the server is stopped. */
  async wipe(): Promise<void> {
    await Deno.remove(join(this.#folder, "data"), { recursive: true });
    await initialize(this.#folder);
  }

  /** Starts the server again on the same port and folder, after `kill` or `stop`. */
  async restart(): Promise<void> {
    const log = join(this.#folder, "log");
    for (const end = Date.now() + START_MS;;) {
      await Deno.writeTextFile(log, "");
      await giveAway(log);
      const args = serverArgs(this.#folder, this.port, this.#settings);
      const command = this.#diskSize === undefined ? args : [
        ...["unshare", "--map-root-user", "--mount", "sh", "-c", DISK_COMMAND, "sh"],
        ...[String(this.#diskSize), this.disk, ...args],
      ];
      this.#process = new Deno.Command("sh", {
        args: ["-c", WATCHED, "sh", log, ...command],
        ...RUN_AS,
        stdin: "piped",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const failure = await started(log, end);
      if (failure === undefined) return;
      await this.kill();
      // Those who served clients of the server that was killed need a moment to end.
      if (!/pre-existing shared memory|lock file/.test(failure) || Date.now() > end) {
        throw new Error(`postgres did not start: ${failure}`);
      }
      await pause(50);
    }
  }

  /** Ends the server and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/**
 * Starts a Postgres server of a test's own.
 *
 * @example
 * ```ts
 * await using server = await startPostgres();
 * const stash = new HashStash({ engine: "postgres", engineOptions: { url: server.url } });
 * ```
 */
export function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  return PostgresServer.start(options);
}

/** A database of the server that all tests of this run share; `await using` drops it. */
export class PostgresDatabase implements AsyncDisposable {
  /** `postgres://postgres@127.0.0.1:PORT/DATABASE`. */
  readonly url: string;
  readonly #folder: string;
  readonly #port: number;
  readonly #name: string;

  constructor(folder: string, port: number, name: string) {
    this.#folder = folder;
    this.#port = port;
    this.#name = name;
    this.url = `postgres://${USER}@${HOST}:${port}/${name}`;
  }

  /** Runs SQL with `psql`; the rows that it printed, columns with `|` between them. */
  sql(text: string): Promise<string> {
    return psql(this.#folder, this.#port, text, this.#name);
  }

  /** Drops the database, whoever is connected to it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await psql(this.#folder, this.#port, `DROP DATABASE "${this.#name}" WITH (FORCE)`, DATABASE);
  }
}

/** Makes a database on the server of this run, which is started when it is not there yet. */
export async function makeDatabase(): Promise<PostgresDatabase> {
  const folder = join(tmpdir(), `hashstash_postgres_${Deno.pid}`);
  const port = await sharedServer(folder);
  const name = `test_${crypto.randomUUID().replaceAll("-", "_")}`;
  await psql(folder, port, `CREATE DATABASE "${name}" TEMPLATE template0`, DATABASE);
  return new PostgresDatabase(folder, port, name);
}

/**
 * The port of the server of this process; whoever makes its folder starts it, and others, tests that
 * run in workers beside it, wait.
 */
async function sharedServer(folder: string): Promise<number> {
  const ready = join(folder, "ready");
  for (const end = Date.now() + START_MS; Date.now() < end; await pause(20)) {
    try {
      return Number(await Deno.readTextFile(ready));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    try {
      await Deno.mkdir(folder);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      continue;
    }
    await giveAway(folder);
    await initialize(folder);
    const port = freePort();
    const log = join(folder, "log");
    await Deno.writeTextFile(log, "");
    await giveAway(log);
    const parent = String(Deno.pid);
    await run(
      "sh",
      ["-c", SHARED_COMMAND, "sh", parent, folder].concat(
        serverArgs(folder, port, SETTINGS),
      ),
    );
    const failure = await started(log, end);
    if (failure !== undefined) throw new Error(`postgres did not start: ${failure}`);
    await Deno.writeTextFile(`${ready}.new`, String(port));
    await Deno.rename(`${ready}.new`, ready);
    return port;
  }
  throw new Error(`No Postgres server came up in ${folder}; remove that folder and try again`);
}

function serverArgs(folder: string, port: number, settings: string[]): string[] {
  return [
    program("postgres"),
    ...["-D", join(folder, "data"), "-h", HOST, "-p", String(port), "-k", folder],
    ...settings.flatMap((setting) => ["-c", setting]),
  ];
}

/**
 * A line that says that the server can't start. Clients that come too early are fatal for nobody but
 * themselves, and those who served a killed server end in the log of the next.
 */
const FAILED =
  /^.*(FATAL: (?! the database system is| terminating)|PANIC|could not bind|not found).*$/m;

/** Waits until the server is ready; what its log says when it can't be. */
async function started(log: string, end: number): Promise<string | undefined> {
  while (true) {
    const text = await Deno.readTextFile(log);
    if (text.includes("ready to accept connections")) return undefined;
    const failed = FAILED.exec(text);
    if (failed || Date.now() > end) return failed === null ? text : text.trim();
    await pause(5);
  }
}

async function initialize(folder: string): Promise<void> {
  await run(program("initdb"), [
    ...["-D", join(folder, "data"), "-U", USER, "--auth=trust", "--no-sync"],
    ...["-E", "UTF8", "--locale=C"],
  ]);
}

async function psql(
  folder: string,
  port: number,
  text: string,
  database: string,
): Promise<string> {
  const args = ["-h", folder, "-p", String(port), "-U", USER, "-d", database];
  return await run(program("psql"), [...args, "-X", "-A", "-t", "-q", "-c", text]);
}

async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    ...RUN_AS,
    cwd: tmpdir(),
    env: { LC_ALL: "C.UTF-8", HOME: tmpdir() },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${command} failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout).replace(/\n$/, "");
}

/** The path of one of Postgres' programs: Debian has those of the server in no folder of the PATH. */
function program(name: string): string {
  const path = programPath(name);
  if (path !== undefined) return path;
  throw new Error(
    `The program ${name} is needed and not installed: run apt-get install postgresql`,
  );
}

/** Where a program is: on the PATH, or the newest one where Debian has them. */
export function programPath(name: string): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  try {
    const root = "/usr/lib/postgresql";
    const versions = [...Deno.readDirSync(root)].map(({ name }) => name);
    versions.sort((a, b) => Number(b) - Number(a));
    folders.push(...versions.map((version) => join(root, version, "bin")));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return folders.map((folder) => join(folder, name)).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

async function makeFolder(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "hashstash_postgres_" });
  await giveAway(folder);
  return folder;
}

/** Lets the server have a file or folder. */
async function giveAway(path: string): Promise<void> {
  if (RUN_AS.uid !== undefined) await Deno.chown(path, NOBODY, NOBODY);
}

function signal(pid: number, how: Deno.Signal): void {
  try {
    Deno.kill(pid, how);
  } catch (error) {
    // It may have ended.
    if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
