/**
 * A JSR on the loopback interface: the part of its publish API that `deno publish` uses, and its
 * read API. Packages get into it by a real `deno publish`, and reach programs as JSR serves them:
 * file by file, each with its checksum, beside `meta.json` and `VERSION_meta.json`. Deno uses it
 * where `JSR_URL` names it.
 */
import { assert } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { dirname, join } from "node:path";
import { outputOf, ROOT } from "../../dev/run.ts";
import { Traffic } from "./traffic.ts";

/** What the registry takes as a token of somebody who may publish. */
const TOKEN = "jsr-test-token";

/** Old enough for any `minimumDependencyAge`. */
const PUBLISHED = "2026-01-01T00:00:00Z";

/** As JSR limits them. */
const LARGEST_FILE = 4 * 2 ** 20, LARGEST_PACKAGE = 20 * 2 ** 20;

interface Version {
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
  readonly meta: VersionMeta;
}

/** `VERSION_meta.json`. */
interface VersionMeta {
  readonly exports: Record<string, string>;
  readonly manifest: Record<string, { size: number; checksum: string }>;
  readonly moduleGraph2: Record<string, ModuleInfo>;
}

type Position = [line: number, character: number];

interface ModuleInfo {
  readonly dependencies?: ({
    type: "static";
    kind: "import" | "importType";
    specifier: string;
    specifierRange: [Position, Position];
  } | { type: "dynamic"; argument: string; argumentRange: [Position, Position] })[];
}

/** A running registry. */
export class JsrRegistry implements AsyncDisposable {
  /** What has been asked for. */
  readonly traffic: Traffic = new Traffic();
  readonly #packages = new Map<string, Map<string, Version>>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #folder = Deno.makeTempDirSync();

  /** A registry without packages. */
  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => await this.#answer(request),
    );
  }

  /** Its URL, for `JSR_URL`. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** The files of a version of a package, each with its path from the package's root. */
  files(name: string, version: string): ReadonlyMap<string, Uint8Array<ArrayBuffer>> {
    const found = this.#packages.get(name)?.get(version);
    assert(found !== undefined, `${name}@${version} has not been published`);
    return found.files;
  }

  /** Publishes the package, or the packages of the workspace, in a folder. */
  async publish(folder: string): Promise<void> {
    const args = ["publish", "--allow-dirty", "--no-provenance", "--token", TOKEN];
    const { success, stderr } = await outputOf(args, { cwd: folder, env: { JSR_URL: this.url } });
    assert(success, stderr);
  }

  /** Publishes this package, and before it what stands in dev/ for packages that it imports. */
  async publishAll(): Promise<void> {
    const workspace = join(this.#folder, "workspace");
    const dev = join(ROOT, "dev");
    const standIns = Array.from(Deno.readDirSync(dev), ({ name }) => name)
      .filter((name) => name.startsWith("std_"));
    for (const name of standIns) {
      await Deno.mkdir(join(workspace, name), { recursive: true });
      for (const { name: file } of Deno.readDirSync(join(dev, name))) {
        await Deno.copyFile(join(dev, name, file), join(workspace, name, file));
      }
      const config = join(workspace, name, "deno.json");
      const { publish: _, ...rest } = JSON.parse(await Deno.readTextFile(config));
      await Deno.writeTextFile(config, JSON.stringify({ license: "MIT", ...rest }));
    }
    const config = JSON.stringify({ workspace: standIns.map((name) => `./${name}`) });
    await Deno.writeTextFile(join(workspace, "deno.json"), config);
    await this.publish(workspace);
    await this.publish(ROOT);
  }

  async #answer(request: Request): Promise<Response> {
    const path = decodeURIComponent(new URL(request.url).pathname);
    const called = /^\/api\/scopes\/([^/]+)\/packages\/([^/]+)(?:\/versions\/([^/]+))?$/.exec(path);
    if (called !== null) return await this.#call(request, called);
    const asked = /^\/(@[^/]+\/[^/]+)\/(?:(meta\.json)|([^/]+)_meta\.json|([^/]+)(\/.+))$/.exec(
      path,
    );
    const [, name = "", isMeta, metaOf, version, file] = asked ?? [];
    const versions = this.#packages.get(name);
    if (versions === undefined) return new Response("Not found", { status: 404 });
    if (isMeta) {
      const [scope, last] = name.slice(1).split("/");
      const times = [...versions.keys()].map((version) => [version, { createdAt: PUBLISHED }]);
      const latest = [...versions.keys()].at(-1);
      return this.#send({ scope, name: last, latest, versions: Object.fromEntries(times) });
    }
    if (metaOf) return this.#send(versions.get(metaOf)?.meta);
    return this.#send(versions.get(version)?.files.get(file), file);
  }

  /** Answers as JSR's buckets do. */
  #send(content: object | Uint8Array<ArrayBuffer> | undefined, file = ".json"): Response {
    if (content === undefined) return new Response("Not found", { status: 404 });
    const body = content instanceof Uint8Array
      ? content
      : new TextEncoder().encode(JSON.stringify(content));
    this.traffic.count(body.length);
    const type = file.endsWith(".ts") ? "text/typescript" : "application/json";
    return new Response(body, { headers: { "content-type": type } });
  }

  /** Answers a call of the publish API. */
  async #call(request: Request, [, scope, last, version]: string[]): Promise<Response> {
    const name = `@${scope}/${last}`;
    if (version === undefined) return Response.json({ scope, name: last });
    if (request.method === "GET") {
      const isThere = this.#packages.get(name)?.has(version);
      return Response.json({ scope, package: last, version }, { status: isThere ? 200 : 404 });
    }
    if (request.headers.get("authorization") !== `Bearer ${TOKEN}`) {
      return Response.json({ code: "unauthorized", message: "wrong token" }, { status: 401 });
    }
    const task = { id: crypto.randomUUID(), status: "success", error: undefined as unknown };
    try {
      const config = new URL(request.url).searchParams.get("config") ?? "";
      const gzip = new DecompressionStream("gzip");
      const tar = new Uint8Array(await new Response(request.body!.pipeThrough(gzip)).arrayBuffer());
      const accepted = await this.#check(name, version, unpack(tar), config);
      const versions = this.#packages.getOrInsertComputed(name, () => new Map());
      versions.set(version, accepted);
    } catch (error) {
      task.status = "failure";
      task.error = { code: "invalid", message: String(error) };
    }
    return Response.json(task);
  }

  /** Looks at a package as JSR does before it takes it. */
  async #check(name: string, version: string, files: Version["files"], configPath: string) {
    const config = JSON.parse(new TextDecoder().decode(files.get(configPath)));
    assert(config.name === name && config.version === version, "the configuration names another");
    assert(config.license !== undefined || files.has("/LICENSE"), "there is no license");
    let total = 0;
    const manifest: VersionMeta["manifest"] = {};
    for (const [path, bytes] of files) {
      assert(bytes.length <= LARGEST_FILE, `${path} is too large`);
      total += bytes.length;
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      manifest[path] = { size: bytes.length, checksum: `sha256-${encodeHex(digest)}` };
    }
    assert(total <= LARGEST_PACKAGE, "the package is too large");
    const exports: VersionMeta["exports"] = typeof config.exports === "string"
      ? { ".": config.exports }
      : config.exports;
    const moduleGraph2 = await this.#analyze(files, Object.values(exports));
    for (const [path, { dependencies = [] }] of Object.entries(moduleGraph2)) {
      for (const dependency of dependencies) {
        const specifier = "specifier" in dependency ? dependency.specifier : dependency.argument;
        const of = /^jsr:(@[^/]+\/[^@/]+)(@?)/.exec(specifier);
        assert(/^(jsr:|npm:|node:|\.\.?\/|data:)/.test(specifier), `${path} imports ${specifier}`);
        assert(!/^(jsr|npm):@?[^@]+$/.test(specifier), `${path}: no version in ${specifier}`);
        assert(of === null || this.#packages.has(of[1]), `${path}: ${specifier} is unknown here`);
      }
    }
    return { files, meta: { exports, manifest, moduleGraph2 } };
  }

  /** What each module imports: with it, Deno need not wait for a module to fetch the next ones. */
  async #analyze(files: Version["files"], entries: string[]): Promise<VersionMeta["moduleGraph2"]> {
    const root = await Deno.makeTempDir({ dir: this.#folder });
    for (const [path, bytes] of files) {
      await Deno.mkdir(dirname(join(root, path)), { recursive: true });
      await Deno.writeFile(join(root, path), bytes);
    }
    const all = entries.map((entry) => `import ${JSON.stringify(entry)};\n`).join("");
    await Deno.writeTextFile(join(root, "_all.ts"), all);
    const args = ["info", "--json", "--no-config", "--no-remote", "--no-npm", "_all.ts"];
    const { success, stdout, stderr } = await outputOf(args, { cwd: root });
    assert(success, stderr);
    const { modules } = JSON.parse(stdout) as { modules: InfoModule[] };
    const [{ specifier: first }] = modules.filter(({ specifier }) => /\/_all\.ts$/.test(specifier));
    const base = first.slice(0, -"/_all.ts".length);
    return Object.fromEntries(
      modules.filter(({ specifier, error }) => {
        return error === undefined && specifier !== first && specifier.startsWith(base);
      }).map(({ specifier, dependencies }) => [
        specifier.slice(base.length),
        dependencies && { dependencies: dependencies.map(dependencyOf) },
      ]).filter(([, info]) => info !== undefined),
    );
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** A module as `deno info --json` tells of it. */
interface InfoModule {
  readonly specifier: string;
  readonly error?: string;
  readonly dependencies?: InfoDependency[];
}

interface InfoDependency {
  readonly specifier: string;
  readonly isDynamic?: boolean;
  readonly code?: { span: InfoSpan };
  readonly type?: { span: InfoSpan };
}

type InfoSpan = Record<"start" | "end", { line: number; character: number }>;

function dependencyOf({ specifier, isDynamic, code, type }: InfoDependency) {
  const { start, end } = (code ?? type)!.span;
  const range: [Position, Position] = [[start.line, start.character], [end.line, end.character]];
  if (isDynamic) return { type: "dynamic", argument: specifier, argumentRange: range } as const;
  const kind = code === undefined ? "importType" : "import";
  return { type: "static", kind, specifier, specifierRange: range } as const;
}

/** The files of a tar archive. */
function unpack(tar: Uint8Array<ArrayBuffer>): Version["files"] {
  const BLOCK = 512, REGULAR = ["0", "\0"];
  const text = (from: number, length: number) =>
    new TextDecoder().decode(tar.subarray(from, from + length)).replace(/\0.*$/s, "");
  const files: Version["files"] = new Map();
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0;) {
    const path = `/${text(at, 100).replace(/^\.?\//, "")}`;
    const size = parseInt(text(at + 124, 12), 8);
    const kind = String.fromCharCode(tar[at + 156]);
    assert(REGULAR.includes(kind), `${path} is no regular file`);
    files.set(path, tar.slice(at + BLOCK, at + BLOCK + size));
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}
