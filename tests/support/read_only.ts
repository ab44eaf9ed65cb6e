/** Makes a folder read-only while `fn` runs, also for the superuser, whom modes don't stop. */
export async function whileReadOnly<T>(folder: string, fn: () => Promise<T>): Promise<T> {
  const superuser = Deno.uid() === 0;
  if (superuser) await attribute("+i", folder);
  else await Deno.chmod(folder, 0o555);
  try {
    return await fn();
  } finally {
    if (superuser) await attribute("-i", folder);
    else await Deno.chmod(folder, 0o755);
  }
}

async function attribute(change: string, folder: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("chattr", { args: [change, folder] }).output();
  if (!success) throw new Error(`chattr ${change}: ${new TextDecoder().decode(stderr)}`);
}
