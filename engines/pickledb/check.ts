/**
 * Looking for damage in the file of the pickledb engine, and repairing it without losing what can't
 * be repaired.
 */
import { copyFileSync, linkSync, rmSync } from "node:fs";
import { isNotFound } from "../../platform/errors.ts";
import { isAbsent } from "../../platform/files.ts";
import type { EngineCheck, EngineProblem } from "../engine.ts";
import { isReadOnly } from "../file_failures.ts";
import type { Document, Items } from "./store.ts";
import { readText, replacementOf, TooLong } from "./file.ts";
import { type Item, itemAt, verifyItem } from "./format.ts";
import { JsonDamage, salvage } from "./text.ts";
import { Turns } from "../../platform/timers.ts";

/**
 * Looks at every member and at what killed writers left; what is damaged is taken out when asked,
 * and kept in a copy of the file.
 */
export async function checkDocument(document: Document, fix: boolean): Promise<EngineCheck> {
  try {
    return await document.exclusively(() => look(document, fix));
  } catch (error) {
    // Who may not write can't lock either, but look.
    if (fix || !isReadOnly(error)) throw error;
    return await look(document, fix);
  }
}

async function look(document: Document, fix: boolean): Promise<EngineCheck> {
  const problems = removeLeftover(document.path, fix);
  let items: Items;
  try {
    items = await document.items();
  } catch (error) {
    const problem = await problemOf(document, error, fix);
    return { checked: 1, problems: [...problems, problem] };
  }
  const damaged = await findDamaged(items);
  let fixed = false;
  if (fix && damaged.size > 0) {
    const sound = new Map([...items].filter(([key]) => !damaged.has(key)));
    setAside(document.path);
    fixed = await document.save(sound);
  }
  for (const [key, detail] of damaged) problems.push({ kind: "damaged", key, detail, fixed });
  return { checked: items.size, problems };
}

/** What is wrong with a file that can't be read as a whole. */
async function problemOf(
  document: Document,
  error: unknown,
  fix: boolean,
): Promise<EngineProblem> {
  if (error instanceof JsonDamage) return await repair(document, error, fix);
  // Nothing of it is broken that could be mended.
  if (error instanceof TooLong) return { kind: "damaged", detail: error.message, fixed: false };
  throw error;
}

/** Keeps the file as it is under another name, where a person finds it. */
export function setAside(path: string): string {
  const aside = `${path}.damaged-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  try {
    // It is going to be replaced, not written to: a second name keeps it, also on a full disk.
    linkSync(path, aside);
  } catch (error) {
    if (isNotFound(error)) throw error;
    // Not every file system has links.
    copyFileSync(path, aside);
  }
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
  const fixed = await document.save(found);
  const detail = `${what}; it is kept as ${aside}, and ${found.size} entries of it could be read`;
  return { kind: "damaged", detail, fixed };
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

/** What a killed process left of a save: whoever holds the lock knows that nobody is saving. */
function removeLeftover(path: string, fix: boolean): EngineProblem[] {
  const leftover = replacementOf(path);
  if (isAbsent(leftover)) return [];
  if (fix) rmSync(leftover, { force: true });
  return [{ kind: "leftover", detail: `${leftover}: a save that did not end`, fixed: fix }];
}
