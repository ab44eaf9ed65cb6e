/** A disk that is full after a few megabytes. */
import { join } from "node:path";
import { ROOT, ROOT_URL } from "../../dev/run.ts";

/** Why nobody can have a small disk here; `undefined`: one can. */
export async function smallDiskError(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return `${Deno.build.os} has no file systems for one process`;
  const folder = await Deno.makeTempDir();
  try {
    const { success, stderr } = await new Deno.Command("unshare", {
      args: ["--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", folder],
    }).output();
    return success ? undefined : new TextDecoder().decode(stderr).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "unshare is not installed";
  } finally {
    await Deno.remove(folder);
  }
}

/**
 * Runs TypeScript in a child `deno run -A` that has a disk of this size, in bytes, at `folder`; what
 * it printed. Imports are relative to the repository's folder. The disk is a file system in memory
 * which only the child sees: Linux lets any user have one. `undefined`, loudly, where nobody can.
 */
export async function runOnSmallDisk(
  folder: string,
  size: number,
  script: string,
): Promise<string | undefined> {
  const obstacle = await smallDiskError();
  if (obstacle !== undefined) {
    console.log(`NO DISK IS FILLED: ${obstacle}`);
    return undefined;
  }
  const file = join(folder, "script.ts");
  const imports = script.replaceAll(/from "\.\//g, `from "${ROOT_URL}`);
  const mounted = join(folder, "disk");
  await Deno.mkdir(mounted);
  await Deno.writeTextFile(file, imports);
  const { success, stdout, stderr } = await new Deno.Command("unshare", {
    args: [
      "--map-root-user",
      "--mount",
      "sh",
      "-c",
      `mount -t tmpfs -o size=${size} none "$1" && shift && exec "$@"`,
      "sh",
      mounted,
      Deno.execPath(),
      ...["run", "-A", "--quiet", "--no-check", "--config", join(ROOT, "deno.json"), file],
      mounted,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr));
  return decoder.decode(stdout);
}
