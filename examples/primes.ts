/** How many primes there are from `start` up to but without `end`: work that keeps a core busy. */
export function countPrimes(start: number, end: number): number {
  let count = 0;
  for (let n = Math.max(start, 2); n < end; n++) {
    let isPrime = true;
    for (let d = 2; d * d <= n && isPrime; d++) isPrime = n % d !== 0;
    if (isPrime) count++;
  }
  return count;
}
