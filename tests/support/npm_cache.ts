/**
 * The npm registry of this machine, through a server on the loopback interface that fetches each
 * file of it once and counts what programs download. Deno uses it where `NPM_CONFIG_REGISTRY` names
 * it.
 */
import { assert } from "@std/assert";
import { outputOf } from "../../dev/run.ts";
import { npm } from "../../dev/tools.ts";
import { Traffic } from "./traffic.ts";

/** A file of the registry. */
interface Fetched {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** A running server. */
export class NpmCache implements AsyncDisposable {
  /** What has been asked for. */
  readonly traffic: Traffic = new Traffic();
  readonly #files = new Map<string, Promise<Fetched>>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(registry: string) {
    const fetchOnce = (path: string, accept: string) => {
      return this.#files.getOrInsertComputed(
        `${accept} ${path}`,
        () => fetchFile(registry, path, accept, this.url),
      );
    };
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async ({ url, headers }) => {
        const path = url.slice(this.url.length);
        const { status, type, body } = await fetchOnce(path, headers.get("accept") ?? "*/*");
        this.traffic.count(body.length);
        return new Response(body, { status, headers: { "content-type": type } });
      },
    );
  }

  /** Starts one in front of the registry that npm is set up for. */
  static async start(): Promise<NpmCache> {
    const [command, ...args] = npm(["config", "get", "registry"]);
    const { success, stdout } = await outputOf(args, {}, command);
    assert(success, "npm tells no registry");
    return new NpmCache(stdout.trim().replace(/\/*$/, "/"));
  }

  /** Its URL, for `NPM_CONFIG_REGISTRY`. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

async function fetchFile(
  registry: string,
  path: string,
  accept: string,
  ourUrl: string,
): Promise<Fetched> {
  const response = await fetch(registry + path, { headers: { accept } });
  const type = response.headers.get("content-type") ?? "application/octet-stream";
  let body = new Uint8Array(await response.arrayBuffer());
  if (/json/.test(type)) {
    // What says where the archives are names the registry itself.
    const text = new TextDecoder().decode(body).replaceAll(registry, ourUrl);
    body = new TextEncoder().encode(text);
  }
  return { status: response.status, type, body };
}
