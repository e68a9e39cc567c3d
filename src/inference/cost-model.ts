/**
 * What a batch costs: `a + b · candidateRows` microseconds, from the doorbell to the scores back on the event loop.
 *
 * Exponentially weighted least squares over the last batches, solved in closed form at every observation. The warm-up
 * runs stay in the fit for ever with a small constant weight: when all live batches have one size they fix the cost
 * there, and the warm-up still fixes the slope.
 */
export class CostModel {
  /** Microseconds per batch and per candidate row, both ≥ 0; 0 until the first observation. */
  a = 0;
  b = 0;

  private readonly prior = new Sums();
  private readonly live = new Sums();

  predictUs(candidateRows: number): number {
    return this.a + this.b * candidateRows;
  }

  /** A run before the first request. */
  seed(candidateRows: number, us: number): void {
    this.prior.add(candidateRows, us, SEED_WEIGHT);
    this.solve();
  }

  /** A batch that came back. */
  observe(candidateRows: number, us: number): void {
    const expectedUs = this.predictUs(candidateRows);
    const clippedUs = expectedUs > 0 ? Math.min(us, expectedUs * OUTLIER_FACTOR) : us;
    this.live.decay(DECAY);
    this.live.add(candidateRows, clippedUs, 1);
    this.solve();
  }

  private solve(): void {
    const n = this.prior.n + this.live.n;
    const x = this.prior.x + this.live.x;
    const y = this.prior.y + this.live.y;
    const xx = this.prior.xx + this.live.xx;
    const xy = this.prior.xy + this.live.xy;
    const spread = xx - (x * x) / n;
    // With one batch size only there is no slope to see: all of the cost is called fixed.
    let b = spread > SPREAD_MIN ? (xy - (x * y) / n) / spread : 0;
    let a = (y - b * x) / n;
    if (b < 0) {
      b = 0;
      a = y / n;
    } else if (a < 0) {
      a = 0;
      b = xy / xx;
    }
    this.a = a;
    this.b = b;
  }
}

/** 0.98 forgets half of what it knew after 34 batches: under load about 30 ms, so a throttled core is seen at once. */
const DECAY = 0.98;
/** The three warm-up sizes together weigh about one live batch of the fifty that DECAY remembers. */
const SEED_WEIGHT = 0.3;
/** One pause of the collector must not look like a slow model; a lasting change still quadruples with every batch. */
const OUTLIER_FACTOR = 4;
/** Rows², below any two different batch sizes at seed weight. */
const SPREAD_MIN = 1e-3;

class Sums {
  n = 0;
  x = 0;
  y = 0;
  xx = 0;
  xy = 0;

  add(x: number, y: number, weight: number): void {
    this.n += weight;
    this.x += weight * x;
    this.y += weight * y;
    this.xx += weight * x * x;
    this.xy += weight * x * y;
  }

  decay(factor: number): void {
    this.n *= factor;
    this.x *= factor;
    this.y *= factor;
    this.xx *= factor;
    this.xy *= factor;
  }
}
