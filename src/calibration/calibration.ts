import { z } from 'zod';
import { OperatingError } from '../contract/index.js';

/**
 * Turns raw scores into probabilities.
 *
 * Order of steps: the down-sampling correction first (once, on the logit), then the calibrator, which was fitted on
 * unsampled data (He et al., "Practical Lessons from Predicting Clicks on Ads at Facebook", ADKDD 2014, §6.3).
 */
export interface Calibrator {
  readonly method: string;
  /** Probability in [0, 1] of one logit. NaN in, NaN out. */
  probability(logit: number): number;
}

const common = {
  version: z.literal(1),
  input: z.literal('logit'),
  /** The share of negatives kept in training, w: the logit is shifted by ln w. */
  sampling_rate: z.number().gt(0).max(1).default(1),
};

const schema = z
  .discriminatedUnion('method', [
    z.strictObject({ ...common, method: z.literal('identity') }),
    /** Platt: σ(a·logit + b). */
    z.strictObject({ ...common, method: z.literal('platt'), a: z.number(), b: z.number() }),
    /** Piecewise linear through (x, y), clamped at the ends; fitted by pool-adjacent-violators. */
    z.strictObject({
      ...common,
      method: z.literal('isotonic'),
      x: z.array(z.number().min(0).max(1)).min(1).max(10_000),
      y: z.array(z.number().min(0).max(1)).min(1).max(10_000),
    }),
    /** Kull et al., AISTATS 2017: 1 / (1 + 1 / (e^c · s^a / (1 − s)^b)). */
    z.strictObject({ ...common, method: z.literal('beta'), a: z.number().min(0), b: z.number().min(0), c: z.number() }),
  ])
  .superRefine((file, context) => {
    if (file.method !== 'isotonic') return;
    const { x, y } = file;
    const say = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (x.length !== y.length) say('y', `${y.length} values for ${x.length} in x`);
    if (x.some((v, i) => i > 0 && v <= x[i - 1])) say('x', 'must ascend strictly');
    if (y.some((v, i) => i > 0 && v < y[i - 1])) say('y', 'must not descend');
  });

/**
 * Compiles the parsed contents of a `calibration.json`.
 * @throws OperatingError `VK_CALIBRATION_INVALID` with one line per finding
 */
export function compileCalibration(contents: unknown, file: string): Calibrator {
  const parsed = schema.safeParse(contents);
  if (!parsed.success) {
    const findings = parsed.error.issues.map((issue) => `${issue.path.map(String).join('.')}: ${issue.message}`);
    throw new OperatingError('VK_CALIBRATION_INVALID', 'model owner', `${file}: ${findings[0]}`, findings);
  }
  const table = parsed.data;
  const shift = Math.log(table.sampling_rate);
  switch (table.method) {
    case 'identity':
      return { method: table.method, probability: (logit) => sigmoid(logit + shift) };
    case 'platt':
      return { method: table.method, probability: (logit) => sigmoid(table.a * (logit + shift) + table.b) };
    case 'beta':
      return { method: table.method, probability: (logit) => beta(logit + shift, table.a, table.b, table.c) };
    case 'isotonic': {
      const x = Float64Array.from(table.x);
      const y = Float64Array.from(table.y);
      return { method: table.method, probability: (logit) => interpolate(x, y, sigmoid(logit + shift)) };
    }
  }
}

function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** In logit space, where s^a / (1 − s)^b is a·ln s − b·ln(1 − s) and neither end overflows. */
function beta(logit: number, a: number, b: number, c: number): number {
  const logOfS = -Math.log1p(Math.exp(-logit));
  const logOfRest = -logit + logOfS;
  if (logOfS === Number.NEGATIVE_INFINITY) return 0;
  return sigmoid(c + a * logOfS - b * logOfRest);
}

function interpolate(x: Float64Array, y: Float64Array, at: number): number {
  const last = x.length - 1;
  if (at <= x[0]) return y[0];
  if (at >= x[last]) return y[last];
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (x[middle] <= at) low = middle;
    else high = middle;
  }
  // NaN compares false everywhere and comes out as NaN here.
  return y[low] + ((y[high] - y[low]) * (at - x[low])) / (x[high] - x[low]);
}
