/**
 * Looking for damage in the file of the pickledb engine, and repairing it without losing what can't
 * be repaired.
 */
import { copyFileSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { EngineCheck, EngineProblem } from "../engine.ts";
import type { Document, Items } from "./store.ts";
import { isLeftover, readText } from "./file.ts";
import { type Item, itemAt, verifyItem } from "./format.ts";
import { JsonDamage, salvage } from "./text.ts";
import { Turns } from "../../platform/timers.ts";

/**
 * Looks at every member and at what killed writers left; what is damaged is taken out when asked,
 * and kept in a copy of the file.
 */
export function checkDocument(document: Document, fix: boolean): Promise<EngineCheck> {
  return document.exclusively(async () => {
    const problems = removeLeftovers(document.path, fix);
    let items: Items;
    try {
      items = await document.items();
    } catch (error) {
      if (!(error instanceof JsonDamage)) throw error;
      problems.push(await repair(document, error, fix));
      return { checked: 1, problems };
    }
    const damaged = await findDamaged(items);
    if (fix && damaged.size > 0) {
      const sound = new Map([...items].filter(([key]) => !damaged.has(key)));
      setAside(document.path);
      await document.save(sound);
    }
    for (const [key, detail] of damaged) {
      problems.push({ kind: "damaged", key, detail, fixed: fix });
    }
    return { checked: items.size, problems };
  });
}

/** Keeps a copy of the file, where a person finds it. */
export function setAside(path: string): string {
  const aside = `${path}.damaged-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  copyFileSync(path, aside);
  return aside;
}

async function repair(
  document: Document,
  damage: JsonDamage,
  fix: boolean,
): Promise<EngineProblem> {
  const { path } = document;
  const what = `${path} is damaged: ${damage.message}`;
  if (!fix) return { kind: "damaged", detail: what, fixed: false };
  const { text = "" } = await readText(path, false);
  const found: Items = new Map();
  const turns = new Turns();
  for (const member of salvage(text)) {
    found.set(member.key, itemAt(text, member));
    if (turns.due()) await turns.next();
  }
  for (const key of (await findDamaged(found)).keys()) found.delete(key);
  const aside = setAside(path);
  await document.save(found);
  const detail = `${what}; it is kept as ${aside}, and ${found.size} entries of it could be read`;
  return { kind: "damaged", detail, fixed: true };
}

/** The members whose values are not what they should be, and why. */
async function findDamaged(items: ReadonlyMap<string, Item>): Promise<Map<string, string>> {
  const damaged = new Map<string, string>();
  const turns = new Turns();
  for (const [key, item] of items) {
    try {
      verifyItem(item);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      damaged.set(key, error.message);
    }
    if (turns.due()) await turns.next();
  }
  return damaged;
}

function removeLeftovers(path: string, fix: boolean): EngineProblem[] {
  const leftovers = readdirSync(dirname(path))
    .filter((name) => isLeftover(basename(path), name))
    .map((name) => join(dirname(path), name));
  return leftovers.map((leftover) => {
    if (fix) rmSync(leftover, { force: true });
    return { kind: "leftover", detail: `${leftover} is a write that was not finished`, fixed: fix };
  });
}
