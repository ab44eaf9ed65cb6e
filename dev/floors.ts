/**
 * The floors of the published code, and what breaks their order. On its own it prints them:
 *
 *     deno run -A dev/floors.ts
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { walkSync } from "@std/fs";
import { ROOT, withOutput } from "./run.ts";

/**
 * The floors from the ground up, each with its rooms: folders, or files at the root. A room may
 * import itself and what is on the floors below it. profile/bench/ is not part of profile/.
 */
const FLOORS: readonly (readonly string[])[] = [
  ["platform"],
  ["codec"],
  ["engines"],
  ["store"],
  ["functions", "profile"],
  ["stash"],
  ["mod.ts"],
  ["adapters", "inspector", "profile/bench"],
  ["cli"],
];

/** What {@linkcode floorsOf} found. Files are relative to the repository, with forward slashes. */
export interface Floors {
  /** From the ground up. */
  readonly floors: { readonly rooms: readonly string[]; readonly files: string[] }[];
  /**
   * `FILE → FILE` for each import of a room that is not below. Types count, and so do lazy imports
   * whose address is a literal: one that is computed can't be seen.
   */
  readonly upward: string[];
  /** The files of each circle of imports. */
  readonly circles: string[][];
}

interface Graph {
  modules: {
    specifier: string;
    dependencies?: { code?: { specifier?: string }; type?: { specifier?: string } }[];
  }[];
}

/** Reads the imports of all published code as Deno does. */
export async function floorsOf(): Promise<Floors> {
  const floors = FLOORS.map((rooms) => ({ rooms, files: rooms.flatMap(filesOf).sort() }));
  const files = floors.flatMap((floor) => floor.files);
  const imports = await importsOf(files);
  const upward: string[] = [];
  for (const [file, targets] of imports) {
    for (const target of targets) if (!isBelow(target, file)) upward.push(`${file} → ${target}`);
  }
  return { floors, upward: upward.sort(), circles: circlesIn(imports) };
}

const roomOf = (file: string) =>
  FLOORS.flat().filter((room) => file === room || file.startsWith(`${room}/`)).at(-1)!;
const floorOf = (room: string) => FLOORS.findIndex((rooms) => rooms.includes(room));

/** Whether `file` may import `target`. */
function isBelow(target: string, file: string): boolean {
  const [to, from] = [roomOf(target), roomOf(file)];
  return to === from || floorOf(to) < floorOf(from);
}

function filesOf(room: string): string[] {
  if (room.endsWith(".ts")) return [room];
  return [...walkSync(join(ROOT, room), { includeDirs: false, exts: [".ts"] })]
    .map(({ path }) => path.slice(ROOT.length).replaceAll("\\", "/"))
    .filter((file) => roomOf(file) === room && !file.endsWith("_test.ts"));
}

/** Which of the files each of them imports. */
async function importsOf(files: string[]): Promise<Map<string, string[]>> {
  const root = pathToFileURL(ROOT).href;
  const folder = await Deno.makeTempDir();
  try {
    const all = join(folder, "all.ts");
    await Deno.writeTextFile(all, files.map((file) => `import "${root}${file}";`).join("\n"));
    const { success, output } = await withOutput([
      "info",
      "--json",
      "--no-lock",
      "--no-npm",
      "--config",
      join(ROOT, "deno.json"),
      all,
    ]);
    if (!success) throw new Error(output);
    const { modules }: Graph = JSON.parse(output);
    const known = new Set(files);
    return new Map(
      modules.filter(({ specifier }) => specifier.startsWith(root)).map(
        ({ specifier, dependencies = [] }): [string, string[]] => {
          const targets = dependencies.flatMap(({ code, type }) => [code, type])
            .map((target) => target?.specifier ?? "")
            .filter((target) => target.startsWith(root)).map((target) => target.slice(root.length));
          return [specifier.slice(root.length), [...new Set(targets)].filter((f) => known.has(f))];
        },
      ).filter(([file]) => known.has(file)),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The sets of files that reach each other: Tarjan's strongly connected components. */
function circlesIn(imports: Map<string, string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string) => {
    order.set(file, order.size);
    lowest.set(file, order.get(file)!);
    open.push(file);
    for (const target of imports.get(file) ?? []) {
      if (!order.has(target)) visit(target);
      if (open.includes(target)) {
        lowest.set(file, Math.min(lowest.get(file)!, lowest.get(target)!));
      }
    }
    if (lowest.get(file) !== order.get(file)) return;
    const circle = open.splice(open.indexOf(file));
    if (circle.length > 1 || imports.get(file)?.includes(file)) circles.push(circle.sort());
  };
  for (const file of imports.keys()) if (!order.has(file)) visit(file);
  return circles;
}

/** Prints the floors, the top one first; whether their order holds. */
export async function printFloors(): Promise<boolean> {
  const { floors, upward, circles } = await floorsOf();
  for (const { rooms, files } of floors.toReversed()) {
    console.log(`${rooms.join(", ").padEnd(30)} ${String(files.length).padStart(3)} files`);
  }
  for (const line of upward) console.log(`not below: ${line}`);
  for (const circle of circles) console.log(`a circle: ${circle.join(", ")}`);
  if (upward.length > 0 || circles.length > 0) return false;
  console.log("Every file imports only its own room and the floors below; there is no circle");
  return true;
}

if (import.meta.main && !await printFloors()) Deno.exit(1);
