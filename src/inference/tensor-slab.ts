/**
 * The memory of one batch of queued requests: tensors of any type and shape, described in the memory itself.
 *
 *     ┌──────────────┬──────────────────────────────────┬────────────────────┬───────────────────────┐
 *     │ header 64 B  │ a record of 64 B per tensor      │ inputs, each on a  │ outputs, written by   │
 *     │              │ index, offset, bytes, rank, dims │ 64-byte line       │ the worker if they fit│
 *     └──────────────┴──────────────────────────────────┴────────────────────┴───────────────────────┘
 *
 * Same invariant as slab.ts: either the event loop or one worker may touch it, and it changes hands with the doorbell.
 */
const LINE = 64;
const RECORD_WORDS = 16;
/** Dimensions of a tensor, the batch's included: what is left of a record. */
export const RANK_MAX = 12;

const WORD = { inputs: 0, outputs: 1, dataEnd: 2 } as const;
/** The durations fill the second half of the header's line. */
const DURATIONS_OFFSET = 32;

/** A tensor in the slab. */
export interface TensorRecord {
  /** Of the model's inputs or outputs. */
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
  readonly dims: number[];
}

export class TensorSlab {
  private readonly words: Int32Array;
  readonly data: Uint8Array;
  /** Microseconds inside the worker: tensors made, run, outputs written. */
  readonly durationsUs: Float64Array;

  constructor(
    readonly memory: SharedArrayBuffer,
    private readonly tensorsMax: number,
  ) {
    this.words = new Int32Array(memory, 0, (LINE + tensorsMax * LINE) / 4);
    this.data = new Uint8Array(memory);
    this.durationsUs = new Float64Array(memory, DURATIONS_OFFSET, 4);
  }

  /** @param tensorsMax inputs and outputs of the model together */
  static bytesFor(tensorsMax: number, dataBytes: number): number {
    return LINE + tensorsMax * LINE + dataBytes;
  }

  get dataStart(): number {
    return LINE + this.tensorsMax * LINE;
  }

  /** Where the inputs end and outputs may begin. */
  get dataEnd(): number {
    return this.words[WORD.dataEnd];
  }

  get inputs(): TensorRecord[] {
    return this.records(0, this.words[WORD.inputs]);
  }

  get outputs(): TensorRecord[] {
    return this.records(this.words[WORD.inputs], this.words[WORD.outputs]);
  }

  /** Replaces every record; the data is the caller's to write. */
  describeInputs(records: readonly TensorRecord[], dataEnd: number): void {
    this.words[WORD.inputs] = records.length;
    this.words[WORD.outputs] = 0;
    this.words[WORD.dataEnd] = dataEnd;
    records.forEach((record, i) => {
      this.write(i, record);
    });
  }

  addOutput(record: TensorRecord): void {
    this.write(this.words[WORD.inputs] + this.words[WORD.outputs]++, record);
  }

  clearOutputs(): void {
    this.words[WORD.outputs] = 0;
  }

  private write(place: number, record: TensorRecord): void {
    const rank = record.dims.length;
    if (rank > RANK_MAX) throw new Error(`a tensor of ${rank} dimensions; ${RANK_MAX} are the most`);
    const at = LINE / 4 + place * RECORD_WORDS;
    this.words[at] = record.index;
    this.words[at + 1] = record.offset;
    this.words[at + 2] = record.bytes;
    this.words[at + 3] = rank;
    this.words.set(record.dims, at + 4);
  }

  private records(first: number, count: number): TensorRecord[] {
    return Array.from({ length: count }, (_, i) => {
      const at = LINE / 4 + (first + i) * RECORD_WORDS;
      const [index, offset, bytes, rank] = this.words.subarray(at, at + 4);
      return { index, offset, bytes, dims: [...this.words.subarray(at + 4, at + 4 + rank)] };
    });
  }
}

export function alignedToLine(bytes: number): number {
  return Math.ceil(bytes / LINE) * LINE;
}
