import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { errorCode, isNotFound, isPermissionDenied } from "../../platform/errors.ts";
import { readFile, readFolderSync } from "../../platform/files.ts";

const absent = fileURLToPath(new URL("./absent", import.meta.url));

Deno.test("a file that is not there is known by whichever API was asked", async () => {
  for (
    const error of [
      assertThrows(() => readFileSync(absent)),
      assertThrows(() => Array.from(readFolderSync(absent))),
      await assertRejects(() => readFile(absent)),
    ]
  ) {
    assertEquals([isNotFound(error), isPermissionDenied(error)], [true, false]);
  }
});

Deno.test("a file in a folder's place, and what is no error, are something else", () => {
  const error = assertThrows(() => Array.from(readFolderSync(fileURLToPath(import.meta.url))));
  assertEquals([errorCode(error), isNotFound(error)], ["ENOTDIR", false]);
  assertEquals(isNotFound({ code: "ENOENT" }), false);
  assertEquals(errorCode(Object.assign(new Error(), { code: 5 })), undefined);
});

Deno.test("a permission that is missing is told", { permissions: { read: false } }, async () => {
  const error = await assertRejects(() => readFile(absent));
  assertEquals([isNotFound(error), isPermissionDenied(error)], [false, true]);
  assertEquals(isPermissionDenied(assertThrows(() => readFileSync(absent))), true);
});
