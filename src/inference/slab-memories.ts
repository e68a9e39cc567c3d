import { SLAB_MEMORIES_BYTES_MAX } from './limits.js';

/**
 * Memories of models that were removed, for the next load of the same size: a reload finds those of the reload before.
 * V8 does not feel shared memory as pressure; without this, 150 reloads of the shipped ranker held 175 MiB of slabs
 * that only a full collection freed.
 */
export class SlabMemories {
  private readonly free = new Map<number, SharedArrayBuffer[]>();
  private freeBytes = 0;

  /** Its contents are whatever they were. */
  take(bytes: number): SharedArrayBuffer {
    const memory = this.free.get(bytes)?.pop();
    if (memory === undefined) return new SharedArrayBuffer(bytes);
    this.freeBytes -= bytes;
    return memory;
  }

  /** Nobody touches it any more, in no thread. */
  give(memory: SharedArrayBuffer): void {
    const bytes = memory.byteLength;
    if (this.freeBytes + bytes > SLAB_MEMORIES_BYTES_MAX) return;
    this.freeBytes += bytes;
    const same = this.free.get(bytes);
    if (same === undefined) this.free.set(bytes, [memory]);
    else same.push(memory);
  }
}
