/**
 * One clock of all processes of the machine, ns: `performance.now()` counts from the start of each.
 * Where the system's own can't be asked, the time of day, with a millisecond of doubt.
 */
export function machineClock(): { before(): number; after(): number } {
  if (Deno.build.os !== "linux") {
    return { before: () => Date.now() * 1e6, after: () => (Date.now() + 1) * 1e6 };
  }
  const MONOTONIC = 1;
  const { symbols } = Deno.dlopen("libc.so.6", {
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  });
  const time = new BigInt64Array(2);
  const now = () => {
    symbols.clock_gettime(MONOTONIC, time);
    return Number(time[0]) * 1e9 + Number(time[1]);
  };
  return { before: now, after: now };
}
