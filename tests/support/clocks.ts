/** Programs whose clock is wrong, as on a machine of its own: by libfaketime. */

/** Looks for the library; why there is none, or what makes an environment with another time. */
export async function movedClocks(): Promise<string | ((ms: number) => Record<string, string>)> {
  if (Deno.build.os !== "linux") return `its use on ${Deno.build.os} is not known here`;
  let library: string;
  try {
    const { stdout } = await new Deno.Command("faketime", {
      args: ["-m", "-f", "+0", "printenv", "LD_PRELOAD"],
    }).output();
    library = new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "faketime is not installed (`deno task setup` installs it where it can)";
  }
  const environment = (ms: number) => ({
    LD_PRELOAD: library,
    FAKETIME: `${ms < 0 ? "" : "+"}${ms / 1_000}`,
    // As in life: how long something takes is told by a clock that nobody sets.
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  });
  const year = 365 * 86_400_000;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "console.log(Date.now())"],
    env: { ...environment(year), NO_COLOR: "1" },
  }).output();
  const seen = Number(new TextDecoder().decode(stdout)) - Date.now();
  if (Math.abs(seen - year) < 60_000) return environment;
  return "Deno does not obey libfaketime here";
}
