/**
 * `preserve_ordering`: replies leave in the order in which their requests came, however they complete. Every position
 * given out must be completed, refusals and cancellations too: what comes later waits for it.
 */
export class InOrder<T> {
  /** Completed, but an earlier one is not; as many as requests are in flight at most, which the queue bounds. */
  private readonly held = new Map<number, T>();
  private entered = 0;
  /** The position whose turn it is. */
  private turn = 0;
  private isReleasing = false;

  /** @param release is called with one reply after the other; it may enter and complete others meanwhile */
  constructor(private readonly release: (reply: T) => void) {}

  /** Requests that have entered and are not released. */
  get waiting(): number {
    return this.entered - this.turn;
  }

  /** A request came. @returns its position, for `complete` */
  enter(): number {
    return this.entered++;
  }

  /** Releases the reply when its turn has come, and all that had waited for it; else keeps it. Once per position. */
  complete(position: number, reply: T): void {
    if (position < this.turn || position >= this.entered || this.held.has(position)) {
      throw new Error(`complete: position ${position} is not in flight`);
    }
    this.held.set(position, reply);
    // A release that completes another only adds to what the loop below finds: no reply overtakes the one being released.
    if (this.isReleasing) return;
    this.isReleasing = true;
    try {
      while (this.held.has(this.turn)) {
        const next = this.held.get(this.turn) as T;
        this.held.delete(this.turn);
        this.turn++;
        this.release(next);
      }
    } finally {
      this.isReleasing = false;
    }
  }
}
