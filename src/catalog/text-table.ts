import { hashString } from '../base/index.js';
import { NumberList } from './growable.js';
import { LimitReached, TEXT_BYTES_MAX } from './limits.js';

const encoder = new TextEncoder();

/** Texts in shared memory: text `i` is the UTF-8 bytes `starts[i]` … `starts[i + 1]`. Text 0 is the empty one. */
export interface TextColumns {
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
}

/**
 * Stores each distinct text once, as UTF-8, and numbers it. A million ids and their markup stay out of the JavaScript
 * heap: an open-addressing table of numbers points into one block of bytes.
 */
export class TextTable {
  /** Grows in place: a copy of all markup at its last doubling would be the loader's largest piece of memory. */
  private readonly memory = new SharedArrayBuffer(1 << 16, { maxByteLength: TEXT_BYTES_MAX });
  private bytes = Buffer.from(this.memory);
  private used = 0;
  private readonly starts = new NumberList(Uint32Array);
  /** `hashString` of each text: the table's own hash, and the code that feature programs want. */
  private readonly codes = new NumberList(Uint32Array);
  /** Text number + 1, or 0 where free. Always a power of two and at most half full. */
  private slots = new Int32Array(1 << 12);

  constructor() {
    this.starts.push(0);
    this.append(0, 0);
  }

  get count(): number {
    return this.codes.length;
  }

  /** `hashString` of the text with this number. */
  code(text: number): number {
    return this.codes.get(text);
  }

  /** @returns the text's number, the same for equal texts */
  intern(text: string): number {
    if (text === '') return 0;
    const code = hashString(text);
    const byteLength = this.encodeAtEnd(text);
    let slot = code & (this.slots.length - 1);
    for (let held = this.slots[slot]; held !== 0; held = this.slots[slot]) {
      if (this.codes.get(held - 1) === code && this.equalsEnd(held - 1, byteLength)) return held - 1;
      slot = (slot + 1) & (this.slots.length - 1);
    }
    this.slots[slot] = this.count + 1;
    return this.append(code, byteLength);
  }

  read(text: number): string {
    return this.bytes.toString('utf8', this.starts.get(text), this.starts.get(text + 1));
  }

  /** Hands over the bytes themselves; the table takes no further text. */
  toShared(): TextColumns {
    return { bytes: new Uint8Array(this.memory, 0, this.used), starts: this.starts.toShared() };
  }

  private append(code: number, byteLength: number): number {
    this.used += byteLength;
    this.starts.push(this.used);
    const number = this.codes.push(code);
    if (this.count * 2 > this.slots.length) this.rehash();
    return number;
  }

  /** Writes the text behind the last one, where it may or may not stay. @returns its length in bytes */
  private encodeAtEnd(text: string): number {
    const most = this.used + text.length * 3;
    if (most > this.bytes.length) {
      if (most > TEXT_BYTES_MAX) throw new LimitReached(`more than ${TEXT_BYTES_MAX} bytes of distinct texts`);
      this.memory.grow(Math.min(TEXT_BYTES_MAX, Math.max(most, this.memory.byteLength * 2)));
      this.bytes = Buffer.from(this.memory);
    }
    return encoder.encodeInto(text, this.bytes.subarray(this.used)).written;
  }

  private equalsEnd(held: number, byteLength: number): boolean {
    const start = this.starts.get(held);
    if (this.starts.get(held + 1) - start !== byteLength) return false;
    return this.bytes.compare(this.bytes, start, start + byteLength, this.used, this.used + byteLength) === 0;
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2);
    for (let number = 1; number < this.count; number++) {
      let slot = this.codes.get(number) & (slots.length - 1);
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = number + 1;
    }
    this.slots = slots;
  }
}

/** Decodes texts from shared memory, each when it is asked for. */
export class TextReader {
  private readonly bytes: Buffer;

  constructor(private readonly columns: TextColumns) {
    const { buffer, byteOffset, byteLength } = columns.bytes;
    this.bytes = Buffer.from(buffer, byteOffset, byteLength);
  }

  read(text: number): string {
    return this.bytes.toString('utf8', this.columns.starts[text], this.columns.starts[text + 1]);
  }
}
