/** What the scripts of this folder share. */
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const ROOT = fileURLToPath(new URL("../", import.meta.url));

/**
 * Runs the Deno that runs this, in the repository's root, its output on ours; whether it succeeded.
 */
export async function deno(args: string[], env: Record<string, string> = {}): Promise<boolean> {
  const command = new Deno.Command(Deno.execPath(), { args, env, cwd: ROOT });
  return (await command.spawn().status).success;
}

/** Runs Deno as {@linkcode deno} does, and gives what it printed; of errors, only when it failed. */
export async function withOutput(args: string[]): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT })
    .output();
  const texts = success ? [stdout] : [stdout, stderr];
  return { success, output: texts.map((text) => new TextDecoder().decode(text)).join("\n") };
}
