/** Files and folders as the platform gives them. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { isNotFound } from "../../platform/errors.ts";
import { makeFolder, makeFolderSync } from "../../platform/files.ts";

Deno.test("a folder is made with those around it, each of the mode", () => {
  const root = Deno.makeTempDirSync();
  try {
    const deep = join(root, "a", "b", "c");
    for (let time = 0; time < 2; time++) makeFolderSync(deep, 0o700);
    for (const path of [deep, join(root, "a", "b"), join(root, "a")]) {
      assertEquals(Number(Deno.statSync(path).mode) & 0o777, 0o700, path);
    }
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("a folder that can't be made is named by the error, at once", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  // The kernel lets nobody make one there, and says that it is not found.
  for (const mode of [0o700, undefined]) {
    for (const path of ["/proc/hashstash", "/proc/hashstash/a/b"]) {
      const error = assertThrows(() => makeFolderSync(path, mode), Error, "/proc/hashstash");
      assert(isNotFound(error));
      assert(
        isNotFound(await assertRejects(() => makeFolder(path, mode), Error, "/proc/hashstash")),
      );
    }
  }
});
