/**
 * PgBouncer between the tests and a Postgres server: on a free port of 127.0.0.1, with a folder of its
 * own, ended with the program that started it, whichever way that ends.
 *
 * @module
 */
import { join } from "node:path";
import { type PostgresServer, RUN_AS, WATCHED } from "./postgres_server.ts";
import { eventually, freePort, HOST } from "./servers.ts";

/** Where Debian has it, which is in no PATH of those who are not root. */
const PLACES = ["pgbouncer", "/usr/sbin/pgbouncer"];

/** The version from which on it keeps clients' prepared statements apart, when told to. */
const FIRST_TO_KEEP = 1.21;

/** When a connection to the server is free for the next client. */
type Mode = "session" | "transaction";

/** A running PgBouncer; `await using` stops it. */
export class PgBouncer implements AsyncDisposable {
  /** `postgres://postgres@127.0.0.1:PORT/postgres`. */
  readonly url: string;
  /** Whether clients of one connection may have prepared statements of one name. */
  readonly keepsStatements: boolean;
  readonly #folder: string;
  readonly #process: Deno.ChildProcess;

  private constructor(
    url: string,
    version: number,
    folder: string,
    process: Deno.ChildProcess,
  ) {
    this.url = url;
    this.keepsStatements = version >= FIRST_TO_KEEP;
    this.#folder = folder;
    this.#process = process;
  }

  /** Starts one before a server, with so many connections to it. */
  static async start(server: PostgresServer, mode: Mode, size: number): Promise<PgBouncer> {
    const { path: program, version } = await findProgram();
    const folder = await Deno.makeTempDir({ prefix: "hashstash_pgbouncer_" });
    const port = freePort();
    const [config, log] = [join(folder, "config.ini"), join(folder, "log")];
    await Deno.writeTextFile(
      config,
      `[databases]\n* = host=${HOST} port=${server.port} user=postgres\n[pgbouncer]\n` +
        `listen_addr = ${HOST}\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = any\n` +
        `pool_mode = ${mode}\ndefault_pool_size = ${size}\n` +
        (version >= FIRST_TO_KEEP ? "max_prepared_statements = 100\n" : ""),
    );
    await Deno.writeTextFile(log, "");
    for (const path of [folder, config, log]) {
      if (RUN_AS.uid !== undefined) await Deno.chown(path, RUN_AS.uid, RUN_AS.gid);
    }
    const process = new Deno.Command("sh", {
      args: ["-c", WATCHED, "sh", log, program, config],
      ...RUN_AS,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const url = server.url.replace(`:${server.port}`, `:${port}`);
    const bouncer = new PgBouncer(url, version, folder, process);
    try {
      await eventually(async () => (await Deno.connect({ hostname: HOST, port })).close());
    } catch (error) {
      const said = await Deno.readTextFile(log);
      await bouncer[Symbol.asyncDispose]();
      throw new Error(`PgBouncer did not start: ${said}`, { cause: error });
    }
    return bouncer;
  }

  /** Ends it and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      // It may have ended by itself, as one does that could not start.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#process.status;
    await this.#process.stdin.close();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

async function findProgram(): Promise<{ path: string; version: number }> {
  for (const path of PLACES) {
    try {
      const { stdout } = await new Deno.Command(path, { args: ["--version"] }).output();
      const version = /PgBouncer (\d+\.\d+)/.exec(new TextDecoder().decode(stdout))?.[1];
      return { path, version: Number(version) };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(
    "The program pgbouncer is needed and not installed: run apt-get install pgbouncer",
  );
}
