import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hashString } from '../../src/base/index.js';
import type { AdColumns, BatchRows } from '../../src/contract/index.js';
import { AD_SOURCES, compileProgram, REQUEST_SOURCES, SourceRow, type SourceValue } from '../../src/features/index.js';

/**
 * Written by the Python encoder (`native-models/train/encoder.py`), which is tested against the same file: what a model
 * sees in training is what it sees here, to the bit.
 */
interface Vectors {
  readonly program: unknown;
  readonly cases: readonly {
    readonly name: string;
    readonly request: Record<string, SourceValue>;
    readonly ad: Record<string, string | number>;
    readonly expected: Record<string, readonly number[]>;
  }[];
}
const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../native-models/feature-vectors.json', import.meta.url), 'utf8'),
);

/** The columns of one ad with these source values. */
function oneAd(source: Record<string, string | number>): AdColumns {
  const code = (name: string) => Uint32Array.of(hashString(source[name] as string));
  const size = Number(source['ad.size']);
  return {
    count: 1,
    advertiserCode: code('ad.advertiser'),
    campaignCode: code('ad.campaign'),
    lineItemCode: code('ad.line_item'),
    creativeCode: code('ad.creative'),
    categoryCode: code('ad.category'),
    domainCode: code('ad.domain'),
    format: Uint8Array.of(Number(source['ad.format'])),
    width: Uint16Array.of(size >>> 16),
    height: Uint16Array.of(size & 0xffff),
    durationSeconds: Uint16Array.of(Number(source['ad.duration'])),
    goal: Uint8Array.of(Number(source['ad.goal'])),
    bidMicros: Float64Array.of(Number(source['ad.bid']) * 1e6),
  };
}

describe('the vectors of the Python encoder', () => {
  const program = compileProgram(vectors.program, 'feature-vectors.json');
  const { inputs } = program.signature;

  it('name every source of both sides, so that a new one cannot be forgotten', () => {
    for (const { name } of REQUEST_SOURCES) expect(vectors.cases[0].request).toHaveProperty([name]);
    for (const { name } of AD_SOURCES) expect(vectors.cases[0].ad).toHaveProperty([name]);
  });

  it.each(vectors.cases)('$name', ({ request, ad, expected }) => {
    const row = new SourceRow();
    REQUEST_SOURCES.forEach(({ name }, s) => {
      row.set(s, request[name]);
    });
    const batch: BatchRows = {
      inputs: inputs.map(({ type, width }) => (type === 'int32' ? new Int32Array(width) : new Float32Array(width))),
      requestIndex: new Int32Array(1),
    };
    program.writeRequest(row, batch, 0);
    program.writeCandidates(row, program.bind(oneAd(ad)), Int32Array.of(0), 0, 1, batch, 0, 0);
    inputs.forEach(({ name }, i) => {
      expect([...batch.inputs[i]], name).toEqual(expected[name]);
    });
  });
});
