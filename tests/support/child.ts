/** Scripts in a process of their own, with permissions of their own. */
import { fileURLToPath } from "node:url";

/** How a script ended. */
export interface ScriptResult {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** The repository's folder. */
export const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));

/**
 * Runs TypeScript in a child `deno run` with these flags. Imports are relative to the repository's
 * folder.
 */
export async function runScript(
  script: string,
  flags: string[],
  env: Record<string, string> = {},
): Promise<ScriptResult> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--ext=ts", ...flags, "-"],
    cwd: REPOSITORY,
    env: { ...env, NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(script));
  await stdin.close();
  const { success, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
