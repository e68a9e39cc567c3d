import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { InferRequest, InferResponse, Tensor } from '../contract/index.js';

/** What an entry costs beside its tensors' bytes: key, map entry, the response's objects. Errs upwards. */
const ENTRY_OVERHEAD_BYTES = 1024;

/**
 * Responses of models that ask for it (`response_cache`), by everything an answer can depend on. One for the server, so
 * that its memory has one bound; the least recently used go first.
 */
export class ResponseCache {
  hits = 0;
  misses = 0;

  private readonly responses: LRUCache<string, InferResponse>;

  constructor(bytesMax: number) {
    this.responses = new LRUCache({ maxSize: bytesMax, sizeCalculation: bytesOf });
  }

  get entries(): number {
    return this.responses.size;
  }

  /** At most `bytesMax`. */
  get bytes(): number {
    return this.responses.calculatedSize;
  }

  /**
   * The request's key, for `get` now and `put` later: hashing is the cost here, so it is done once.
   *
   * @param loaded names the loaded version of the request's model, and is another one after a reload
   */
  keyOf(request: InferRequest, loaded: string): string {
    const hash = createHash('sha256');
    // Lengths stand before what they count, so that no two requests run together into the same text.
    const inputs = [...request.inputs].sort((a, b) => (a.name < b.name ? -1 : 1));
    const head = inputs.map(({ name, dataType, shape, bytes }) => [name, dataType, shape, bytes.byteLength]);
    hash.update(`${JSON.stringify([request.model, loaded, request.outputs, head])}\n`);
    for (const { bytes } of inputs) hash.update(bytes);
    return hash.digest('base64');
  }

  /** The tensors are shared with the cache: nobody writes to them, as everywhere. */
  get(key: string): InferResponse | null {
    const response = this.responses.get(key);
    if (response === undefined) {
      this.misses++;
      return null;
    }
    this.hits++;
    return response;
  }

  /** Keeps a copy, since the tensors of a response may be views of a whole batch; not when it alone is over the bound. */
  put(key: string, response: InferResponse): void {
    this.responses.set(key, { ...response, outputs: response.outputs.map(copyOf) });
  }
}

function copyOf(tensor: Tensor): Tensor {
  // Not `slice`: on a Buffer it gives a view.
  return { ...tensor, bytes: new Uint8Array(tensor.bytes) };
}

function bytesOf(response: InferResponse): number {
  return response.outputs.reduce((sum, output) => sum + output.bytes.byteLength, ENTRY_OVERHEAD_BYTES);
}
