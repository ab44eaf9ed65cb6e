/** Tables on damaged pages, of which SQLite can neither remove rows nor drop them. */
import type { SqlConnection } from "./driver.ts";
import { RefusedError, transact, unlessDamaged } from "./transaction.ts";

/** How large a file may be that is looked at before it is cleared, bytes: some 50 ms. */
const SMALL = 16 * 1024 * 1024;

/**
 * Whether pages of the file, or of tables in it, are damaged; only of a small file. Rows that are
 * removed from damaged pages may go without an error, and take good pages with them.
 *
 * @param tables Their names; without them the whole file.
 */
export function isSmallAndDamaged(connection: SqlConnection, tables?: readonly string[]): boolean {
  const number = (pragma: string) => Number(connection.prepare(`PRAGMA ${pragma}`).get()?.[0]);
  if (number("page_count") * number("page_size") > SMALL) return false;
  const found = unlessDamaged(() => {
    if (tables === undefined) return [connection.prepare("PRAGMA quick_check(1)").get()];
    const check = connection.prepare("SELECT integrity_check FROM pragma_integrity_check(?)");
    return tables.map((table) => check.get(table));
  });
  return found instanceof Error || found.some((row) => row?.[0] !== "ok");
}

/** Writes a file anew from what is in it, if all of that can be read: so its free pages are good. */
export function rewrite(connection: SqlConnection): void {
  unlessDamaged(() => connection.exec("VACUUM"));
}

/**
 * Makes tables anew, empty, without a look at their pages: they are struck from the schema, and the
 * file is written anew from what is left in it.
 *
 * @param tables Their names.
 * @param create Makes those that are not there.
 * @throws {RefusedError} When what is left is damaged too, and there is no good page for them.
 */
export function makeTablesAnew(
  connection: SqlConnection,
  tables: readonly string[],
  create: () => void,
): void {
  connection.exec("PRAGMA writable_schema = ON");
  try {
    transact(connection, () => {
      const strike = connection.prepare("DELETE FROM sqlite_schema WHERE tbl_name = ?");
      for (const table of tables) strike.run(table);
      // Whoever has the file open must look at the schema again.
      const [version] = connection.prepare("PRAGMA schema_version").get()!;
      connection.exec(`PRAGMA schema_version = ${Number(version) + 1}`);
    });
  } finally {
    connection.exec("PRAGMA writable_schema = RESET");
  }
  try {
    rewrite(connection);
  } finally {
    // Also where that fails, on a full disk say: the tables are gone, and nobody else makes them.
    createAnew(create);
  }
}

function createAnew(create: () => void): void {
  const cause = unlessDamaged(create);
  if (cause instanceof Error) {
    throw new RefusedError(
      "other stores in the file are damaged too; clear them first, those inside by " +
        "clear({ deep: true }), or delete the file",
      { cause },
    );
  }
}
