import { mix32 } from '../base/index.js';
import { newShared } from './growable.js';

/**
 * The values that targeting names in one dimension, as a hash table in shared memory: the thread that bids looks texts
 * up without having built a Map of them, and looks up the first part of a text without cutting it out.
 */
export interface VocabularyColumns {
  /** Value number + 1, or 0 where free; a power of two, at most half full. */
  readonly slots: Int32Array;
  /** Value `v` is the UTF-16 units `starts[v]` … `starts[v + 1]`. */
  readonly starts: Uint32Array;
  readonly units: Uint16Array;
}

/** @param end the text up to here is meant */
function hashUnits(text: string, end: number): number {
  let h = end;
  for (let i = 0; i < end; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix32(h);
}

/** @returns the number of the value that is the first `end` units of `text`, or -1 */
export function findValue(vocabulary: VocabularyColumns, text: string, end: number): number {
  const { slots, starts, units } = vocabulary;
  const mask = slots.length - 1;
  for (let slot = hashUnits(text, end) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
    const value = slots[slot] - 1;
    const start = starts[value];
    if (starts[value + 1] - start !== end) continue;
    let i = 0;
    while (i < end && units[start + i] === text.charCodeAt(i)) i++;
    if (i === end) return value;
  }
  return -1;
}

/** Numbers the values of one dimension from 0 in the order of their first mention. */
export class VocabularyBuilder {
  private readonly numbers = new Map<string, number>();

  get count(): number {
    return this.numbers.size;
  }

  intern(text: string): number {
    let number = this.numbers.get(text);
    if (number === undefined) {
      number = this.numbers.size;
      this.numbers.set(text, number);
    }
    return number;
  }

  toShared(): VocabularyColumns {
    let unitCount = 0;
    for (const text of this.numbers.keys()) unitCount += text.length;
    const slots = newShared(Int32Array, 2 << Math.ceil(Math.log2(this.count + 1)));
    const starts = newShared(Uint32Array, this.count + 1);
    const units = newShared(Uint16Array, unitCount);
    let at = 0;
    for (const [text, value] of this.numbers) {
      for (let i = 0; i < text.length; i++) units[at++] = text.charCodeAt(i);
      starts[value + 1] = at;
      let slot = hashUnits(text, text.length) & (slots.length - 1);
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = value + 1;
    }
    return { slots, starts, units };
  }
}
