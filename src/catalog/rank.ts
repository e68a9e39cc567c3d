import type { GoalName } from '../contract/index.js';

/**
 * What an ad is expected to earn per thousand impressions, in micros, before any model has seen the request. It only
 * orders ads: which of too many candidates are scored.
 */
export function staticEcpmMicros(goal: GoalName, bidMicros: number, clickRate: number, conversionRate: number): number {
  if (goal === 'cpm') return bidMicros;
  if (goal === 'cpc') return bidMicros * 1000 * clickRate;
  return bidMicros * 1000 * clickRate * conversionRate;
}

const DIGITS = 1 << 16;

/**
 * The order of descending eCPM, ties by ascending hash. A radix sort, because comparing two million pairs through a
 * callback takes seconds: six stable passes of 16 bits, least significant first.
 *
 * @param ecpmMicros positive and finite
 * @returns positions in the two arrays, best first
 */
export function rankOrder(ecpmMicros: Float64Array, tieHash: Uint32Array): Uint32Array {
  const count = ecpmMicros.length;
  // The bits of positive float64 numbers, read as an unsigned integer, have the order of the numbers.
  const bits = new Uint32Array(ecpmMicros.buffer, ecpmMicros.byteOffset, count * 2);
  let order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  let other = new Uint32Array(count);
  const starts = new Uint32Array(DIGITS);
  for (let pass = 0; pass < 6; pass++) {
    const keys = pass < 2 ? tieHash : bits;
    const stride = pass < 2 ? 1 : 2;
    const word = pass < 4 ? 0 : 1;
    const shift = (pass & 1) * 16;
    const flip = pass < 2 ? 0 : DIGITS - 1;
    starts.fill(0);
    for (let i = 0; i < count; i++) starts[((keys[i * stride + word] >>> shift) & 0xffff) ^ flip]++;
    let total = 0;
    for (let digit = 0; digit < DIGITS; digit++) {
      const length = starts[digit];
      starts[digit] = total;
      total += length;
    }
    for (let i = 0; i < count; i++) {
      const item = order[i];
      other[starts[((keys[item * stride + word] >>> shift) & 0xffff) ^ flip]++] = item;
    }
    [order, other] = [other, order];
  }
  return order;
}
