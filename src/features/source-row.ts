import { hashInteger, hashString } from '../base/index.js';
import { type AuctionRequest, CATEGORIES_MAX, type Imp, SEGMENTS_MAX } from '../contract/index.js';
import { REQUEST_SOURCES, type SourceValue } from './sources.js';

const LIST_MAX = Math.max(CATEGORIES_MAX, SEGMENTS_MAX);

/**
 * The request-scope sources of one imp as numbers: what every program reads. Filled once per imp, shared by all models,
 * overwritten by the next.
 *
 * `codes[s]` identifies the value of source `s` (0 = missing); `values[s]` is its number (0 for strings);
 * `lists[s][0 … listCounts[s])` are the codes of a list source.
 */
export class SourceRow {
  readonly codes = new Uint32Array(REQUEST_SOURCES.length);
  readonly values = new Float64Array(REQUEST_SOURCES.length);
  readonly lists = REQUEST_SOURCES.map((s) => new Uint32Array(s.kind === 'strings' ? LIST_MAX : 0));
  readonly listCounts = new Uint32Array(REQUEST_SOURCES.length);

  fill(request: AuctionRequest, imp: Imp, hourOfWeek: number): void {
    for (let s = 0; s < REQUEST_SOURCES.length; s++) {
      this.set(s, REQUEST_SOURCES[s].read(request, imp, hourOfWeek));
    }
  }

  /** Sets source `s`, whose kind must fit `value`. */
  set(s: number, value: SourceValue): void {
    switch (REQUEST_SOURCES[s].kind) {
      case 'string':
        this.codes[s] = hashString(value as string);
        break;
      case 'integer':
        this.codes[s] = hashInteger(value as number);
        this.values[s] = value as number;
        break;
      case 'number':
        this.values[s] = value as number;
        break;
      case 'strings': {
        const texts = value as readonly string[];
        const count = Math.min(texts.length, LIST_MAX);
        const codes = this.lists[s];
        for (let i = 0; i < count; i++) codes[i] = hashString(texts[i]);
        this.listCounts[s] = count;
        break;
      }
    }
  }
}
