const ABSENT = -1;

/**
 * Slots by deadline, the earliest on top, equal ones by arrival. A slot that leaves from the middle is taken out at
 * once, O(log n): were it left until its deadline, the heap would hold every request of the last timeout.
 */
export class DeadlineHeap {
  size = 0;

  private readonly heap: Int32Array;
  /** By slot: its place in `heap`. */
  private readonly places: Int32Array;
  private readonly deadlinesUs: Float64Array;
  private readonly sequences: Float64Array;

  constructor(slots: number) {
    this.heap = new Int32Array(slots);
    this.places = new Int32Array(slots).fill(ABSENT);
    this.deadlinesUs = new Float64Array(slots);
    this.sequences = new Float64Array(slots);
  }

  push(slot: number, deadlineUs: number, sequence: number): void {
    this.deadlinesUs[slot] = deadlineUs;
    this.sequences[slot] = sequence;
    this.put(slot, this.size);
    this.size++;
    this.rise(this.places[slot]);
  }

  /** Does nothing for a slot that is not in the heap. */
  remove(slot: number): void {
    const place = this.places[slot];
    if (place === ABSENT) return;
    this.places[slot] = ABSENT;
    const last = this.heap[--this.size];
    if (last === slot) return;
    this.put(last, place);
    this.rise(place);
    this.sink(this.places[last]);
  }

  /** Only where `size` > 0. */
  top(): number {
    return this.heap[0];
  }

  /** Infinity when empty. */
  earliestUs(): number {
    return this.size === 0 ? Number.POSITIVE_INFINITY : this.deadlinesUs[this.heap[0]];
  }

  private rise(from: number): void {
    const slot = this.heap[from];
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.before(slot, this.heap[parent])) break;
      this.put(this.heap[parent], place);
      place = parent;
    }
    this.put(slot, place);
  }

  private sink(from: number): void {
    const slot = this.heap[from];
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && this.before(this.heap[child + 1], this.heap[child])) child++;
      if (!this.before(this.heap[child], slot)) break;
      this.put(this.heap[child], place);
      place = child;
    }
    this.put(slot, place);
  }

  private put(slot: number, place: number): void {
    this.heap[place] = slot;
    this.places[slot] = place;
  }

  private before(a: number, b: number): boolean {
    const differenceUs = this.deadlinesUs[a] - this.deadlinesUs[b];
    return differenceUs < 0 || (differenceUs === 0 && this.sequences[a] < this.sequences[b]);
  }
}
