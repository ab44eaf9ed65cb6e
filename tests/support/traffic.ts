/** Counts what servers have sent. */
export class Traffic {
  #bytes = 0;
  #requests = 0;

  /** An answer with that many bytes. */
  count(bytes: number): void {
    this.#bytes += bytes;
    this.#requests++;
  }

  /** What has been sent since it was asked the last time. */
  take(): { bytes: number; requests: number } {
    const taken = { bytes: this.#bytes, requests: this.#requests };
    this.#bytes = 0;
    this.#requests = 0;
    return taken;
  }
}
