import { mix32 } from '../src/base/index.js';

/**
 * The world's only source of chance: sfc32 (Chris Doty-Humphrey, PractRand, public domain), seeded by what is being
 * drawn. Every entity and every request has a generator of its own, so the n-th of anything can be made without the
 * n − 1 before it, and a change in one place does not shift the rest of the market.
 */
export class Random {
  private a = 0;
  private b = 0;
  private c = 0;
  private counter = 0;

  constructor(seed: number, stream: number, index: number, more = 0) {
    this.reseed(seed, stream, index, more);
  }

  /** Starts over as if constructed with these. */
  reseed(seed: number, stream: number, index: number, more = 0): void {
    this.a = mix32(seed ^ 0x9e3779b9) | 0;
    this.b = mix32(stream ^ 0x85ebca6b) | 0;
    this.c = mix32(index ^ 0xc2b2ae35) | 0;
    this.counter = (more + 1) | 0;
    // PractRand's author runs twelve rounds to spread a weak seed over the whole state.
    for (let i = 0; i < 12; i++) this.word();
  }

  /** A uniform int32. */
  word(): number {
    const t = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + t) | 0;
    return t;
  }

  /** Uniform in [0, 1), 32 bits. */
  uniform(): number {
    return (this.word() >>> 0) / 4294967296;
  }

  /** A uniform integer in [0, count). */
  below(count: number): number {
    return Math.floor(this.uniform() * count);
  }

  /** An integer in [0, count), low ones often (density ∝ 1/√x): the popularity of places. */
  popular(count: number): number {
    const u = this.uniform();
    return Math.floor(count * u * u);
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** The index of a weight, drawn in proportion to the weights. */
  weighted(weights: readonly number[]): number {
    let total = 0;
    for (const weight of weights) total += weight;
    let left = this.uniform() * total;
    for (let i = 0; i < weights.length - 1; i++) {
      left -= weights[i];
      if (left < 0) return i;
    }
    return weights.length - 1;
  }

  /** Different values, in random order; all of them where `count` is larger. */
  sample<T>(values: readonly T[], count: number): T[] {
    const pool = [...values];
    const taken = Math.min(count, pool.length);
    for (let i = 0; i < taken; i++) {
      const j = i + this.below(pool.length - i);
      const value = pool[j];
      pool[j] = pool[i];
      pool[i] = value;
    }
    return pool.slice(0, taken);
  }

  /** Standard normal (Box and Muller 1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }
}

/** The streams, so that no two uses share one. */
export const STREAM = {
  advertiser: 1,
  campaign: 2,
  creative: 3,
  lineItem: 4,
  place: 5,
  user: 7,
  request: 8,
  impression: 9,
  effect: 10,
} as const;

/**
 * A fixed deviate for a fixed thing: mean 0, variance 1, within ±3.5. A sum of four uniforms (Irwin and Hall 1927),
 * so that it needs integer arithmetic only and is the same on every machine.
 *
 * @param seed of the market and the kind of effect
 * @param code base hash of the thing
 */
export function deviate(seed: number, code: number): number {
  const first = mix32(code ^ seed);
  const second = mix32(first ^ 0x9e3779b9 ^ seed);
  const sum = (first & 0xffff) + (first >>> 16) + (second & 0xffff) + (second >>> 16);
  return (sum / 65536 - 2) * Math.sqrt(3);
}
