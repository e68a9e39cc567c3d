/** The `parameters` of a model configuration: what they are called, what they may say, and what they mean. */

import { THREADS_PER_SESSION_MAX } from './config-limits.js';
import { ROWS_MAX } from './limits.js';
import type { RawConfig, Refuse } from './raw-config.js';

type Rule = (value: string) => string | null;

const rows = integer(1, ROWS_MAX);
const threads = integer(0, THREADS_PER_SESSION_MAX);
/** An hour: a delay is for tests, and a longer one is a slip of the pen. */
const EXECUTE_DELAY_MS_MAX = 3_600_000;

/** By name: null when the value is good, else what it should be. `remote_*` belong to the remote backend. */
const RULES = {
  candidate_rows_max: rows,
  request_rows_max: rows,
  request_index_input: text,
  request_inputs: text,
  queue_order: oneOf('fifo', 'earliest_deadline_first'),
  intra_op_thread_count: threads,
  inter_op_thread_count: threads,
  execution_mode: oneOf('0', '1'),
  execute_delay_ms: integer(0, EXECUTE_DELAY_MS_MAX),
  cpu_fallback: oneOf('true', 'false'),
  market_sigma: (value) => (Number(value) > 0 && Number.isFinite(Number(value)) ? null : 'a positive number'),
  local_model: text,
  route: oneOf('cost', 'remote_first'),
} satisfies Record<string, Rule>;

export type ParameterName = keyof typeof RULES;

/** @throws OperatingError naming a parameter that is unknown or says what it may not */
export function readParameters(raw: RawConfig, refuse: Refuse): Readonly<Record<string, string>> {
  const parameters: Record<string, string> = {};
  for (const [key, { string_value: value }] of Object.entries(raw.parameters)) {
    const path = `parameters["${key}"]`;
    if (Object.hasOwn(RULES, key)) {
      const wanted = RULES[key as ParameterName](value);
      if (wanted !== null) throw refuse(path, `'${value}' is not ${wanted}`);
    } else if (!/^(x|remote)_./.test(key)) {
      const hint = `is it '${nearest(key)}'? A parameter of your own begins with x_`;
      throw refuse(path, `unknown parameter; ${hint}`);
    }
    parameters[key] = value;
  }
  return parameters;
}

function integer(min: number, max: number): Rule {
  return (value) => {
    const good = /^\d+$/.test(value) && Number(value) >= min && Number(value) <= max;
    return good ? null : `an integer between ${min} and ${max}`;
  };
}

function oneOf(...values: string[]): Rule {
  return (value) => (values.includes(value) ? null : values.map((each) => `'${each}'`).join(' or '));
}

function text(value: string): string | null {
  return value === '' ? 'a name' : null;
}

function nearest(key: string): string {
  const byDistance = (a: string, b: string) => distance(key, a) - distance(key, b);
  return [...Object.keys(RULES), 'remote_endpoint'].sort(byDistance)[0];
}

/** Letters to insert, delete or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}
