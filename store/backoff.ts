/**
 * Waits before another try at a contended key: nothing at first, then a random time up to 1, 2, 4 …
 * 64 ms, so that processes that met once don't meet again.
 */
export async function backoff(attempt: number): Promise<void> {
  const bound = Math.min(64, 2 ** attempt / 2);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * bound));
}
