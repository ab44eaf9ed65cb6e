/**
 * Deadlines as Redis has them. It keeps a key for the whole millisecond of its deadline; an entry
 * is gone in that millisecond. So Redis is always told the one before.
 */

/** What `PEXPIRETIME` and `PTTL` say of a key without a deadline. */
export const FOREVER = -1;
/** What they say of a key that is not there. */
export const ABSENT = -2;

/**
 * The command that tells a deadline: as a point in time, which Redis does since 7.0, or as the time
 * that is left.
 */
export type DeadlineCommand = "pexpiretime" | "pttl";

/** The argument of `PXAT`. */
export function toRedisDeadline(expiresAt: number): number {
  return Math.max(1, Math.min(Math.ceil(expiresAt) - 1, Number.MAX_SAFE_INTEGER));
}

/** An entry's deadline, from what the command tells; exact only when it tells a point in time. */
export function fromRedisDeadline(command: DeadlineCommand, time: number): number | undefined {
  if (time === FOREVER) return undefined;
  return command === "pexpiretime" ? time + 1 : Date.now() + time;
}
