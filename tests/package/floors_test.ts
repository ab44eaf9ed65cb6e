/** The published code lies on floors, each of which stands on those below it. */
import { assertEquals, assertGreater } from "@std/assert";
import { floorsOf } from "../../dev/floors.ts";
import config from "../../deno.json" with { type: "json" };

const { floors, upward, circles } = await floorsOf();
const files = floors.flatMap((floor) => floor.files);

Deno.test("floors: every published module lies on one", () => {
  const rooms = floors.flatMap((floor) => floor.rooms);
  const published = config.publish.include.filter((pattern) => pattern.endsWith(".ts"))
    .map((pattern) => pattern.replace("/**/*.ts", ""));
  assertEquals(published.filter((room) => !rooms.includes(room)), []);
  for (const floor of floors) assertGreater(floor.files.length, 0, floor.rooms.join(", "));
  for (const file of Object.values(config.exports)) {
    assertEquals(files.includes(file.replace("./", "")), true, file);
  }
});

Deno.test("floors: no file imports what is not below it", () => {
  assertEquals(upward, []);
});

Deno.test("floors: no imports run in a circle", () => {
  assertEquals(circles, []);
});
