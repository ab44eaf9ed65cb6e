import { killTests } from "./_kill.ts";
import { processTests } from "./_processes.ts";

processTests("pickledb");
killTests("pickledb", {}, {
  async debris(root) {
    const names = await Array.fromAsync(Deno.readDir(`${root}/kill/pickledb`));
    return names.map(({ name }) => name).filter((name) => !/^main\.json(\.lock)?$/.test(name));
  },
});
