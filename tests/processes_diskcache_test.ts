import { join } from "node:path";
import { killTests } from "./_kill.ts";
import { processTests } from "./_processes.ts";
import { python } from "./_python.ts";

processTests("diskcache");
killTests("diskcache", {}, {
  async debris(rootDir) {
    return await python(join(rootDir, "kill/diskcache/main"), "answer(check())") as string[];
  },
});
