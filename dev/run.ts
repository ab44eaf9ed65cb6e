/** What the scripts of this folder and the tests share: where the repository is, and running Deno. */
import { fileURLToPath } from "node:url";

/** The repository's root folder, as a URL. */
export const ROOT_URL = new URL("../", import.meta.url);

/** The repository's root folder. */
export const ROOT = fileURLToPath(ROOT_URL);

/** How a program ended, and what it printed. */
export interface Output {
  readonly success: boolean;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 *
 * @param args Its arguments.
 * @param options Where it runs (the repository's root unless told), its environment, …
 * @param command Deno, unless told.
 */
export async function outputOf(
  args: string[],
  { env, ...options }: Omit<Deno.CommandOptions, "args"> = {},
  command: string = Deno.execPath(),
): Promise<Output> {
  const { success, code, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1", ...env },
    ...options,
  }).output();
  const decoder = new TextDecoder();
  return { success, code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/**
 * Runs the Deno that runs this, in the repository's root, its output on ours; whether it succeeded.
 */
export async function deno(args: string[], env: Record<string, string> = {}): Promise<boolean> {
  const command = new Deno.Command(Deno.execPath(), { args, env, cwd: ROOT });
  return (await command.spawn().status).success;
}

/** Runs Deno as {@linkcode deno} does, and gives what it printed; of errors, only when it failed. */
export async function withOutput(args: string[]): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await outputOf(args);
  return { success, output: success ? stdout : `${stdout}\n${stderr}` };
}
