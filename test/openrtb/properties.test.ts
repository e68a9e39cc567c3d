import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuctionRequest } from '../../src/contract/index.js';
import { decodeJson } from '../../src/openrtb/index.js';

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value) ?? '');

/** Values an exchange might put where something else belongs. */
const junk = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(null, '', '1', '1.5', 0, -1, 1e308, 1.7, true, [], {}, [[]], [null], '\ud800', '__proto__'),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: arbitrary as fc.Arbitrary<unknown> }, junk);
const record = (shape: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(Object.fromEntries(Object.entries(shape).map(([key, value]) => [key, maybe(value)])), { requiredKeys: [] });

const size = record({ w: fc.integer(), h: fc.integer() });
const player = record({
  mimes: fc.array(fc.string()),
  minduration: fc.nat(90),
  maxduration: fc.nat(90),
  rqddurs: fc.array(fc.nat(60)),
  w: fc.nat(4000),
  h: fc.nat(4000),
});
const imp = record({
  id: fc.string({ minLength: 1 }),
  banner: record({ format: fc.array(size), w: fc.nat(4000), h: fc.nat(4000), pos: fc.nat(9) }),
  video: player,
  audio: player,
  native: record({ request: fc.json() }),
  bidfloor: fc.double(),
  bidfloorcur: fc.string(),
  instl: fc.nat(1),
  pmp: record({ private_auction: fc.nat(1) }),
});
const geo = record({ country: fc.string(), region: fc.string(), utcoffset: fc.integer() });
const request = record({
  id: fc.string({ minLength: 1 }),
  imp: fc.array(maybe(imp), { minLength: 1, maxLength: 12 }),
  site: record({ domain: fc.string(), cat: fc.array(fc.string()), publisher: record({ id: fc.string() }) }),
  app: record({ bundle: fc.string() }),
  device: record({
    os: fc.string(),
    language: fc.string(),
    devicetype: fc.nat(9),
    geo,
    ifa: fc.string(),
    lmt: fc.nat(1),
  }),
  user: record({ id: fc.string(), geo, data: fc.array(record({ segment: fc.array(record({ id: fc.string() })) })) }),
  regs: record({ coppa: fc.nat(1), gdpr: fc.nat(1), ext: record({ gdpr: fc.nat(1) }) }),
  tmax: fc.double(),
  cur: fc.array(fc.string()),
  at: fc.nat(3),
});

describe('decodeJson', () => {
  it('never throws, and what it accepts keeps its bounds', () => {
    fc.assert(
      fc.property(fc.oneof(request, fc.jsonValue()), (value) => {
        const into = new AuctionRequest();
        if (!decodeJson(bytes(value), into)) return;
        expect(into.id).not.toBe('');
        expect(into.impCount).toBeGreaterThan(0);
        expect(into.tmaxMs).toBeGreaterThanOrEqual(0);
        for (let i = 0; i < into.impCount; i++) {
          const { floorMicros, id, durationSecondsMin, durationSecondsMax } = into.imps[i];
          expect(id).not.toBe('');
          expect(Number.isSafeInteger(floorMicros) && floorMicros >= 0).toBe(true);
          expect(durationSecondsMax === 0 || durationSecondsMin <= durationSecondsMax).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('never throws on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (body) => {
        decodeJson(body, new AuctionRequest());
      }),
    );
  });

  it('leaves nothing of the previous request in a used one', () => {
    const used = new AuctionRequest();
    fc.assert(
      fc.property(request, request, (first, second) => {
        decodeJson(bytes(first), used);
        const fresh = new AuctionRequest();
        const accepted = decodeJson(bytes(second), fresh);
        expect(decodeJson(bytes(second), used)).toBe(accepted);
        expect({ ...used, imps: used.imps.slice(0, used.impCount) }).toEqual({
          ...fresh,
          imps: fresh.imps.slice(0, fresh.impCount),
        });
      }),
      { numRuns: 2_000 },
    );
  });

  it('a floor of whole micros is read exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999_999_999_999 }), (micros) => {
        const units = `${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')}`;
        const into = new AuctionRequest();
        decodeJson(Buffer.from(`{"id":"r","imp":[{"id":"1","bidfloor":${units}}]}`), into);
        expect(into.imps[0].floorMicros).toBe(micros);
      }),
    );
  });

  it('a bid of the floor in micros is never below the floor as sent', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 999_999, noNaN: true }), (floor) => {
        const into = new AuctionRequest();
        decodeJson(bytes({ id: 'r', imp: [{ id: '1', bidfloor: floor }] }), into);
        expect(into.imps[0].floorMicros / 1e6).toBeGreaterThanOrEqual(floor);
      }),
    );
  });
});
