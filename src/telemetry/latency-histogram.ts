/**
 * A latency histogram with fixed buckets, two per octave from 1 µs to 2 s: recording is a few integer operations on a
 * typed array, where a labelled prom-client `observe` costs ten times as much.
 *
 *     bucket   0   1   2   3   4   5   6    7    …
 *     ≤ µs     1   2   3   4   6   8   12   16   …
 */
const BUCKETS = 42;

export class LatencyHistogram {
  /** Upper bounds in microseconds, inclusive; what is above the last goes to +Inf. */
  static readonly boundsUs: readonly number[] = Array.from({ length: BUCKETS }, (_, i) => {
    if (i < 2) return i + 1;
    const octave = 2 ** (i >> 1);
    return (i & 1) === 1 ? octave * 2 : octave * 1.5;
  });

  readonly counts = new Float64Array(BUCKETS + 1);
  sumUs = 0;
  count = 0;

  record(us: number): void {
    const n = Math.ceil(us) - 1;
    let bucket = Math.max(n, 0);
    if (n >= 2) {
      const exponent = 31 - Math.clz32(n);
      bucket = 2 * exponent + ((n >> (exponent - 1)) & 1);
      if (bucket > BUCKETS || n > 0x7fffffff) bucket = BUCKETS;
    }
    this.counts[bucket]++;
    this.sumUs += us;
    this.count++;
  }
}
