import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { catalogCounts } from './catalog.js';
import { writeDataset } from './dataset.js';
import { DEMO_DAY, DEMO_LINE_ITEMS, DEMO_SEED, ensureDemo } from './demo.js';

const USAGE = `Usage: npm run world -- COMMAND [options]
  demo      a catalog directory and sample requests
              --out DIR (var/demo) --seed N (${DEMO_SEED}) --line-items N (${DEMO_LINE_ITEMS}) --requests N (2000) --day N (${DEMO_DAY})
  dataset   impressions with clicks and conversions, for native-models/train/
              --out DIR (var/dataset) --seed N (${DEMO_SEED}) --line-items N (${DEMO_LINE_ITEMS}) --days N (13) --requests N a day (50000)
              --impressions N per imp (6)
  Both: --json FILE writes the figures.`;

/** Integers by name, with what stands for absent. */
function integer(values: Record<string, string | undefined>, name: string, absent: number): number {
  const text = values[name];
  if (text === undefined) return absent;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} must be a whole number, not ${text}`);
  return value;
}

const TEXT = { type: 'string' } as const;

function main(): void {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      out: TEXT,
      seed: TEXT,
      'line-items': TEXT,
      requests: TEXT,
      day: TEXT,
      days: TEXT,
      impressions: TEXT,
      json: TEXT,
    },
  });
  const startedMs = performance.now();
  const seed = integer(values, 'seed', DEMO_SEED);
  const lineItems = integer(values, 'line-items', DEMO_LINE_ITEMS);
  let figures: object;
  switch (positionals[0]) {
    case 'demo': {
      const requests = integer(values, 'requests', 2000);
      const day = integer(values, 'day', DEMO_DAY);
      const demo = ensureDemo(values.out ?? 'var/demo', { seed, lineItems, requests, day });
      figures = { ...demo, lineItems, ...catalogCounts(lineItems), requests };
      break;
    }
    case 'dataset':
      figures = writeDataset({
        dir: values.out ?? 'var/dataset',
        seed,
        lineItems,
        days: integer(values, 'days', 13),
        requestsPerDay: integer(values, 'requests', 50_000),
        impressionsPerImp: integer(values, 'impressions', 6),
      });
      break;
    default:
      console.error(USAGE);
      process.exitCode = 2;
      return;
  }
  const line = JSON.stringify({ ...figures, seconds: Number(((performance.now() - startedMs) / 1000).toFixed(1)) });
  console.log(line);
  if (values.json !== undefined) writeFileSync(values.json, `${line}\n`);
}

main();
