/**
 * What the tests judge this library by: real servers, and other programs that read and write the
 * same formats.
 */

/** A program that tests run. */
export interface Tool {
  readonly name: string;
  /** Commands of which one succeeds when the tool is there. */
  readonly probes: string[][];
  readonly debianPackage: string;
  /** How to get it on other systems. */
  readonly elsewhere: string;
  /** The only system where tests use it; absent: they use it on all. */
  readonly onlyOn?: typeof Deno.build.os;
}

/** A command line for npm's programs, which are scripts on Windows. */
export function npm(args: string[], program: "npm" | "npx" = "npm"): string[] {
  return [...Deno.build.os === "windows" ? ["cmd", "/c"] : [], program, ...args];
}

const TOOLS: Tool[] = [
  {
    name: "Redis server",
    probes: [["redis-server", "--version"]],
    debianPackage: "redis-server",
    elsewhere: "`redis-server` on the PATH (macOS: `brew install redis`)",
  },
  {
    name: "Postgres server",
    // Debian has its programs in no folder of the PATH.
    probes: [["initdb", "--version"], [
      "sh",
      "-c",
      "ls /usr/lib/postgresql/*/bin/initdb && psql --version",
    ]],
    debianPackage: "postgresql",
    elsewhere: "`initdb`, `postgres` and `psql` on the PATH (macOS: `brew install postgresql`)",
  },
  {
    name: "PgBouncer",
    // Debian has it where the PATH of those who are not root does not lead.
    probes: [["pgbouncer", "--version"], ["/usr/sbin/pgbouncer", "--version"]],
    debianPackage: "pgbouncer",
    elsewhere: "`pgbouncer` on the PATH (macOS: `brew install pgbouncer`)",
  },
  {
    name: "Python's DiskCache",
    // Debian's own Python, whatever other one comes first on the PATH: apt installs modules for it.
    probes: [[
      Deno.build.os === "linux" ? "/usr/bin/python3" : "python3",
      "-c",
      "import diskcache",
    ]],
    debianPackage: "python3-diskcache",
    elsewhere: "`python3` with `python3 -m pip install diskcache`",
  },
  {
    name: "Chromium",
    probes: ["chromium", "chromium-browser", "google-chrome"].map((name) => [name, "--version"]),
    debianPackage: "chromium",
    elsewhere: "`chromium` on the PATH",
  },
  {
    name: "SQLite's shell",
    probes: [["sqlite3", "--version"]],
    debianPackage: "sqlite3",
    elsewhere: "`sqlite3` on the PATH",
  },
  {
    name: "OpenSSL",
    probes: [["openssl", "version"]],
    debianPackage: "openssl",
    elsewhere: "`openssl` on the PATH",
  },
  {
    name: "npm, by which older Denos come",
    probes: [npm(["--version"])],
    debianPackage: "npm",
    elsewhere: "`npm` and `npx` on the PATH, with Node",
  },
  {
    name: "strace, by which processes are killed at each system call",
    probes: [["strace", "-V"]],
    debianPackage: "strace",
    elsewhere: "`strace` on the PATH",
    onlyOn: "linux",
  },
  {
    name: "libfaketime, by which clocks are moved",
    probes: [["faketime", "--version"]],
    debianPackage: "faketime",
    elsewhere: "`faketime` on the PATH",
    onlyOn: "linux",
  },
];

async function succeeds([command, ...args]: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(command, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The tools that are not there. */
export async function missingTools(): Promise<Tool[]> {
  const tools = TOOLS.filter(({ onlyOn = Deno.build.os }) => onlyOn === Deno.build.os);
  const there = await Promise.all(tools.map(({ probes }) => Promise.all(probes.map(succeeds))));
  return tools.filter((_, i) => !there[i].includes(true));
}

/** Installs the tools where Debian's packages can be installed; what is missing after it. */
export async function installTools(tools: Tool[]): Promise<Tool[]> {
  if (tools.length === 0) return [];
  const prefix = await aptPrefix();
  if (prefix === undefined) return tools;
  const packages = tools.map((tool) => tool.debianPackage);
  console.log(`Installing ${packages.join(", ")}`);
  const apt = [...prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
  for (const step of [["update"], ["install", "-y", "--no-install-recommends", ...packages]]) {
    const [command, ...args] = [...apt, ...step];
    await new Deno.Command(command, { args, stdin: "null", stdout: "null" }).spawn().status;
  }
  return await missingTools();
}

/** What goes before `apt-get` for it to work, or `undefined` when it can't. */
async function aptPrefix(): Promise<string[] | undefined> {
  if (!await succeeds(["apt-get", "--version"])) return undefined;
  if (Deno.uid() === 0) return [];
  return await succeeds(["sudo", "-n", "true"]) ? ["sudo", "-n"] : undefined;
}

/** Which tools are missing, and how to get each, a line each. */
export function howToGet(tools: Tool[]): string[] {
  const packages = tools.map((tool) => tool.debianPackage).join(" ");
  return [
    ...tools.map((tool) => `  ${tool.name}: ${tool.elsewhere}`),
    `On Debian or Ubuntu: sudo apt-get update && sudo apt-get install -y ${packages}`,
  ];
}
