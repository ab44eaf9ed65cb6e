/** Whether the deadline of an entry, if it has one, has come. */
export function isExpired({ expiresAt }: { readonly expiresAt?: number }): boolean {
  return expiresAt !== undefined && Date.now() >= expiresAt;
}
