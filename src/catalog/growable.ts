/**
 * Lists of numbers that double when full: a million records as JavaScript objects would cost the loader gigabytes.
 */
type NumberArray = Uint8Array | Uint16Array | Int32Array | Uint32Array | Float64Array;

export class NumberList<T extends NumberArray> {
  private array: T;
  length = 0;

  constructor(
    private readonly type: { new (length: number): T; readonly BYTES_PER_ELEMENT: number },
    capacity = 1024,
  ) {
    this.array = new type(capacity);
  }

  /** The storage itself, at least `length` long; valid until the next push. */
  get values(): T {
    return this.array;
  }

  get(index: number): number {
    return this.array[index];
  }

  set(index: number, value: number): void {
    this.array[index] = value;
  }

  /** @returns the index of the new value */
  push(value: number): number {
    if (this.length === this.array.length) this.reserve(this.length + 1);
    this.array[this.length] = value;
    return this.length++;
  }

  /** Makes room for `length` values in all; those after the present length read as 0. */
  reserve(length: number): void {
    if (length <= this.array.length) return;
    const grown = new this.type(Math.max(length, this.array.length * 2));
    grown.set(this.array);
    this.array = grown;
  }

  /** An exact copy in shared memory, to hand to another thread. */
  toShared(): T {
    const shared = newShared(this.type, this.length);
    shared.set(this.array.subarray(0, this.length));
    return shared;
  }
}

type ArrayType<T extends NumberArray> = {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): T;
};

/** Zeroed numbers in shared memory. */
export function newShared<T extends NumberArray>(type: ArrayType<T>, length: number): T {
  const overBuffer = type as unknown as new (buffer: SharedArrayBuffer) => T;
  return new overBuffer(new SharedArrayBuffer(length * type.BYTES_PER_ELEMENT));
}
