/**
 * Looking for damage in the file of the pickledb engine, and repairing it without losing what can't
 * be repaired.
 */
import { copyFileSync, rmSync } from "node:fs";
import { isAbsent } from "../../platform/files.ts";
import type { EngineCheck, EngineProblem } from "../engine.ts";
import type { Document, Items } from "./store.ts";
import { readText, temporaryOf } from "./file.ts";
import { entryOf, isCoded, type Item, itemAt, valueText } from "./format.ts";
import { JsonDamage, salvage } from "./text.ts";
import { Turns } from "../../platform/timers.ts";

/**
 * Looks at every member and at what killed writers left; what is damaged is taken out when asked,
 * and kept in a copy of the file.
 */
export function checkDocument(document: Document, fix: boolean): Promise<EngineCheck> {
  return document.exclusively(async () => {
    const problems = leftover(document, fix);
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
  const found = new Map([...salvage(text)].map((member) => [member.key, itemAt(text, member)]));
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
      if (!isCoded(item)) JSON.parse(valueText(item));
      else entryOf(item, 0);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      damaged.set(key, error.message);
    }
    if (turns.due()) await turns.next();
  }
  return damaged;
}

function leftover({ path }: Document, fix: boolean): EngineProblem[] {
  const temporary = temporaryOf(path);
  if (isAbsent(temporary)) return [];
  if (fix) rmSync(temporary, { force: true });
  return [{
    kind: "leftover",
    detail: `${temporary} is a write that was not finished`,
    fixed: fix,
  }];
}
