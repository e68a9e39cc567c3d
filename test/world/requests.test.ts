import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AuctionRequest, FORMAT, INVENTORY } from '../../src/contract/index.js';
import { decodeJson } from '../../src/openrtb/index.js';
import { DAY_ZERO_MS, generateRequests } from '../../world/index.js';

const COUNT = 4000;
const day = [...generateRequests({ seed: 1, day: 3, count: COUNT })];

function hashOf(lines: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const line of lines) hash.update(line);
  return hash.digest('hex').slice(0, 16);
}

describe('a day of requests', () => {
  it('is the same wherever it is made', () => {
    // A changed hash is a changed market: raise WORLD_VERSION and train the models again.
    const lines = [...generateRequests({ seed: 1, day: 3, count: 500 })].map((r) => `${r.epochMs} ${r.body}\n`);
    expect(hashOf(lines)).toBe('0ed2010d7b4ad3cd');
  });

  it('differs from another day and from another market', () => {
    const first = (options: { seed: number; day: number }) => [...generateRequests({ ...options, count: 1 })][0].body;
    expect(first({ seed: 1, day: 4 })).not.toBe(day[0].body);
    expect(first({ seed: 2, day: 3 })).not.toBe(day[0].body);
  });

  it('comes in order of time and stays within its day', () => {
    const start = DAY_ZERO_MS + 3 * 86_400_000;
    let before = start;
    for (const { epochMs } of day) {
      expect(epochMs).toBeGreaterThanOrEqual(before);
      before = epochMs;
    }
    expect(before).toBeLessThan(start + 86_400_000);
  });

  it('has the size, mix and spread of real traffic', () => {
    const request = new AuctionRequest();
    const share = {
      site: 0,
      app: 0,
      dooh: 0,
      multiImp: 0,
      banner: 0,
      video: 0,
      native: 0,
      audio: 0,
      several: 0,
      known: 0,
    };
    let imps = 0;
    let bytes = 0;
    const users = new Map<string, number>();
    const ids = new Set<string>();
    for (const { body } of day) {
      bytes += body.length;
      expect(decodeJson(Buffer.from(body), request)).toBe(true);
      ids.add(request.id);
      expect(request.tmaxMs).toBeGreaterThanOrEqual(80);
      expect(request.tmaxMs).toBeLessThanOrEqual(300);
      if (request.inventoryKind === INVENTORY.site) share.site++;
      if (request.inventoryKind === INVENTORY.app) share.app++;
      if (request.inventoryKind === INVENTORY.dooh) share.dooh++;
      if (request.impCount > 1) share.multiImp++;
      if (request.segments.length > 0) share.known++;
      users.set(request.userId, (users.get(request.userId) ?? 0) + 1);
      for (let i = 0; i < request.impCount; i++) {
        const { formatMask } = request.imps[i];
        expect(formatMask).toBeGreaterThan(0);
        imps++;
        if (formatMask & (formatMask - 1)) share.several++;
        for (const [name, format] of Object.entries(FORMAT)) {
          if (formatMask & (1 << format)) share[name as keyof typeof FORMAT]++;
        }
      }
    }
    expect(ids.size).toBe(COUNT);
    expect(bytes / COUNT).toBeGreaterThan(700);
    expect(bytes / COUNT).toBeLessThan(1300);
    expect(share.site / COUNT).toBeCloseTo(0.56, 1);
    expect(share.app / COUNT).toBeCloseTo(0.41, 1);
    expect(share.dooh).toBeGreaterThan(0);
    expect(share.multiImp / COUNT).toBeGreaterThan(0.04);
    expect(share.known / COUNT).toBeGreaterThan(0.4);
    expect(share.banner / imps).toBeGreaterThan(0.55);
    for (const name of ['video', 'native', 'audio', 'several'] as const) expect(share[name]).toBeGreaterThan(50);
    expect(Math.max(...users.values())).toBeGreaterThan(COUNT / 1000);
  });
});
