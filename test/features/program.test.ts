import { describe, expect, it } from 'vitest';
import { hashString, mix32 } from '../../src/base/index.js';
import { type AdColumns, AuctionRequest, type BatchRows, packSize } from '../../src/contract/index.js';
import { compileProgram, SourceRow } from '../../src/features/index.js';

const twoScope = {
  version: 1,
  output: 'logit',
  request_index: 'request_index',
  tensors: [
    {
      name: 'request_ids',
      scope: 'request',
      type: 'int32',
      columns: [
        { name: 'site', source: 'inventory', transform: 'hash', buckets: 100 },
        { name: 'segments', source: 'segment', transform: 'hash', buckets: 50, length: 3, offset: 100 },
        { name: 'device', source: 'device.type', transform: 'vocabulary', values: [1, 4, 5], offset: 150 },
      ],
    },
    {
      name: 'request_dense',
      scope: 'request',
      type: 'float32',
      columns: [
        { name: 'floor', source: 'imp.floor', transform: 'log' },
        { name: 'width', source: 'imp.width', transform: 'number', multiply: 0.01, add: -1 },
      ],
    },
    {
      name: 'candidate_ids',
      scope: 'candidate',
      type: 'int32',
      columns: [
        { name: 'advertiser', source: 'ad.advertiser', transform: 'hash', buckets: 1000, seed: 9 },
        { name: 'site×category', sources: ['inventory', 'ad.category'], transform: 'cross', buckets: 64, offset: 1000 },
        { name: 'length', source: 'ad.duration', transform: 'bucketize', boundaries: [1, 15, 30] },
      ],
    },
  ],
};

function ads(count: number): AdColumns {
  const codes = (prefix: string) => Uint32Array.from({ length: count }, (_, i) => hashString(`${prefix}${i}`));
  return {
    count,
    advertiserCode: codes('advertiser'),
    campaignCode: codes('campaign'),
    lineItemCode: codes('line'),
    creativeCode: codes('creative'),
    categoryCode: codes('IAB'),
    domainCode: codes('domain'),
    format: new Uint8Array(count).fill(1),
    width: new Uint16Array(count).fill(300),
    height: new Uint16Array(count).fill(250),
    durationSeconds: Uint16Array.from({ length: count }, (_, i) => i * 15),
    goal: new Uint8Array(count).fill(1),
    bidMicros: new Float64Array(count).fill(1_000_000),
  };
}

function request() {
  const r = new AuctionRequest();
  r.inventory = 'news.example';
  r.segments.push('sports', 'cars');
  r.deviceType = 4;
  const imp = r.impAt(0);
  r.impCount = 1;
  imp.floorMicros = 1_500_000;
  imp.bannerSizes.push(packSize(300, 250));
  return { request: r, imp };
}

const bucket = (code: number, buckets: number, seed = 0) => 1 + (mix32(code ^ seed) % (buckets - 1));

describe('a two-scope program', () => {
  const program = compileProgram(twoScope, 'features.json');
  const row = new SourceRow();
  const { request: r, imp } = request();
  row.fill(r, imp, 30);
  const batch: BatchRows = {
    inputs: [new Int32Array(4 * 5), new Float32Array(4 * 2), new Int32Array(8 * 3)],
    requestIndex: new Int32Array(8),
  };

  it('tells the engine its signature', () => {
    expect(program.signature).toEqual({
      output: 'logit',
      requestIndexInput: 'request_index',
      inputs: [
        { name: 'request_ids', scope: 'request', type: 'int32', width: 5, highest: [99, 149, 149, 149, 153] },
        { name: 'request_dense', scope: 'request', type: 'float32', width: 2 },
        { name: 'candidate_ids', scope: 'candidate', type: 'int32', width: 3, highest: [999, 1063, 3] },
      ],
    });
  });

  it('writes the request row where it is told and nowhere else', () => {
    program.writeRequest(row, batch, 1);
    const ids = [
      bucket(hashString('news.example'), 100),
      100 + bucket(hashString('sports'), 50),
      100 + bucket(hashString('cars'), 50),
      100,
      152,
    ];
    expect([...batch.inputs[0]]).toEqual([0, 0, 0, 0, 0, ...ids, ...new Array(10).fill(0)]);
    expect([...batch.inputs[1]].slice(2, 4)).toEqual([Math.fround(Math.log1p(1.5)), Math.fround(300 * 0.01 - 1)]);
  });

  it('writes candidate rows with their crosses and points them at the request row', () => {
    const rows = program.bind(ads(10));
    program.writeCandidates(row, rows, Int32Array.from([99, 3, 1]), 1, 2, batch, 1, 4);
    expect([...batch.requestIndex]).toEqual([0, 0, 0, 0, 1, 1, 0, 0]);
    const written = [...batch.inputs[2]].slice(12, 18);
    expect(written[0]).toBe(bucket(hashString('advertiser3'), 1000, 9));
    expect(written[1]).toBeGreaterThan(1000);
    expect(written[2]).toBe(3);
    expect(written[5]).toBe(2);
    const again = { ...batch, inputs: batch.inputs.map((t) => t.slice().fill(0)) };
    program.writeCandidates(row, rows, Int32Array.from([99, 3, 1]), 1, 2, again, 1, 4);
    expect([...again.inputs[2]].slice(12, 18)).toEqual(written);
  });
});

describe('a single-scope program', () => {
  it('repeats request columns in every candidate row', () => {
    const program = compileProgram(
      {
        version: 1,
        output: 'score',
        tensors: [
          {
            name: 'x',
            scope: 'candidate',
            type: 'float32',
            columns: [
              { name: 'hour', source: 'time.hour_of_day', transform: 'number' },
              {
                name: 'prior',
                source: 'inventory',
                transform: 'lookup',
                table: { 'news.example': 0.25 },
                default: 0.5,
              },
              { name: 'bid', source: 'ad.bid', transform: 'number' },
            ],
          },
        ],
      },
      'features.json',
    );
    const { request: r, imp } = request();
    const row = new SourceRow();
    row.fill(r, imp, 30);
    const batch: BatchRows = { inputs: [new Float32Array(6)], requestIndex: new Int32Array(2) };
    program.writeCandidates(row, program.bind(ads(2)), Int32Array.from([0, 1]), 0, 2, batch, 0, 0);
    expect([...batch.inputs[0]]).toEqual([6, 0.25, 1, 6, 0.25, 1]);
    expect(program.signature.requestIndexInput).toBe('');
  });
});

describe('refused at load, by name', () => {
  const column = (changes: object) => ({
    ...twoScope,
    tensors: [twoScope.tensors[0], { ...twoScope.tensors[2], columns: [{ name: 'c', ...changes }] }],
  });
  it.each([
    [
      'an unknown source',
      column({ source: 'ad.colour', transform: 'hash', buckets: 9 }),
      /candidate_ids\.c: unknown source 'ad.colour'/,
    ],
    ['an unknown transform', column({ source: 'ad.format', transform: 'fourier' }), /unknown transform 'fourier'/],
    ['a float transform in an int32 tensor', column({ source: 'ad.bid', transform: 'log' }), /needs a float32 tensor/],
    [
      'text where a number is needed',
      column({ source: 'ad.domain', transform: 'bucketize', boundaries: [1] }),
      /needs a number/,
    ],
    [
      'boundaries that do not ascend',
      column({ source: 'ad.width', transform: 'bucketize', boundaries: [2, 1] }),
      /must ascend/,
    ],
    [
      'a length on a single value',
      column({ source: 'ad.width', transform: 'hash', buckets: 9, length: 2 }),
      /which is no list/,
    ],
    ['a cross of lists', column({ sources: ['segment', 'ad.width'], transform: 'cross', buckets: 9 }), /cross needs/],
    ['two scopes without an index', { ...twoScope, request_index: undefined }, /request_index: needed/],
    ['something else altogether', { tensors: 7 }, /version/],
    ['nothing', null, /features\.json/],
  ])('%s', (_name, contents, message) => expect(() => compileProgram(contents, 'features.json')).toThrow(message));

  it('an ad source in a request tensor', () => {
    const broken = structuredClone(twoScope);
    broken.tensors[0].columns[0].source = 'ad.domain';
    expect(() => compileProgram(broken, 'features.json')).toThrow(/an ad source in a tensor of scope request/);
  });
});
