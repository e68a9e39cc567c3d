/** No slot: the end of a list. */
export const NO_SLOT = -1;

/** The links of every list that shares them; a slot is in at most one of these lists at a time. */
export class SlotLinks {
  readonly next: Int32Array;
  readonly previous: Int32Array;

  constructor(slots: number) {
    this.next = new Int32Array(slots).fill(NO_SLOT);
    this.previous = new Int32Array(slots).fill(NO_SLOT);
  }
}

/** A doubly linked list of slot numbers: O(1) at both ends and for what leaves from the middle, and no allocation. */
export class SlotList {
  head = NO_SLOT;
  tail = NO_SLOT;
  length = 0;

  constructor(private readonly links: SlotLinks) {}

  /** @param after a slot of this list; NO_SLOT = insert at the head */
  insertAfter(slot: number, after: number): void {
    const { next, previous } = this.links;
    const following = after === NO_SLOT ? this.head : next[after];
    previous[slot] = after;
    next[slot] = following;
    if (after === NO_SLOT) this.head = slot;
    else next[after] = slot;
    if (following === NO_SLOT) this.tail = slot;
    else previous[following] = slot;
    this.length++;
  }

  remove(slot: number): void {
    const { next, previous } = this.links;
    if (previous[slot] === NO_SLOT) this.head = next[slot];
    else next[previous[slot]] = next[slot];
    if (next[slot] === NO_SLOT) this.tail = previous[slot];
    else previous[next[slot]] = previous[slot];
    this.length--;
  }
}
