import { assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { modeOption } from "../../engines/options.ts";
import { makeFolderSync } from "../../platform/files.ts";

Deno.test("the mode of files is checked, and folders are made with what goes with it", () => {
  const folder = Deno.makeTempDirSync({ prefix: "hashstash_modes_" });
  try {
    assertEquals(modeOption("x", {}), 0o600);
    assertEquals(modeOption("x", { mode: 0o664 }), 0o664);
    assertThrows(() => modeOption("x", { mode: "600" }), TypeError, '"mode" of engine "x"');
    for (const mode of [0o400, 0o1600, -1, 0.5, 0o066]) {
      assertThrows(() => modeOption("x", { mode }), RangeError, "0o600");
    }
    if (Deno.build.os === "windows") return;
    const umask = Deno.umask(0o077);
    try {
      makeFolderSync(join(folder, "a", "b"), 0o770);
    } finally {
      Deno.umask(umask);
    }
    for (const path of [join(folder, "a"), join(folder, "a", "b")]) {
      assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o770);
    }
    Deno.chmodSync(join(folder, "a"), 0o755);
    makeFolderSync(join(folder, "a", "c"), 0o700);
    assertEquals((Deno.statSync(join(folder, "a")).mode ?? 0) & 0o777, 0o755);
    Deno.writeTextFileSync(join(folder, "file"), "");
    assertThrows(() => makeFolderSync(join(folder, "file"), 0o700), Error);
    assertThrows(() => makeFolderSync(join(folder, "file", "in it"), 0o700), Error);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
