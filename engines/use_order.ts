/** What stands in an order of use. */
export interface Used<T> {
  /** The one that was used last before it. */
  older: T | undefined;
  /** The one that was used first after it. */
  newer: T | undefined;
}

/** Things in the order in which they were last used: as each is linked to its neighbours, a use costs the same however many there are. */
export class UseOrder<T extends Used<T>> {
  #oldest: T | undefined;
  #newest: T | undefined;

  /** The least recently used. */
  get oldest(): T | undefined {
    return this.#oldest;
  }

  /** Takes in something new, as just used. */
  add(item: T): void {
    item.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.newer = item;
    this.#newest = item;
  }

  /** Takes something out. */
  remove(item: T): void {
    if (item.older === undefined) this.#oldest = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.#newest = item.older;
    else item.newer.older = item.older;
    item.older = item.newer = undefined;
  }

  /** It has been used. */
  use(item: T): void {
    if (item === this.#newest) return;
    this.remove(item);
    this.add(item);
  }

  /** Takes out all. */
  clear(): void {
    this.#oldest = this.#newest = undefined;
  }
}
