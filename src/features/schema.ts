import { z } from 'zod';

/** The shape of `features.json`, version 1. The transforms are explained in docs/features.md. */
const name = z.string().min(1).max(128);
const buckets = z
  .int()
  .min(2)
  .max(1 << 24);
const seed = z.int().min(0).max(0xffffffff).default(0);
const offset = z
  .int()
  .min(0)
  .max(1 << 26)
  .default(0);
const length = z.int().min(1).max(64).optional();
const multiply = z.number().default(1);
const add = z.number().default(0);

const column = z.discriminatedUnion('transform', [
  z.strictObject({ name, source: name, transform: z.literal('hash'), buckets, seed, offset, length }),
  z.strictObject({
    name,
    source: name,
    transform: z.literal('vocabulary'),
    values: z
      .array(z.union([z.string(), z.int()]))
      .min(1)
      .max(1 << 20),
    offset,
    length,
  }),
  z.strictObject({
    name,
    source: name,
    transform: z.literal('bucketize'),
    boundaries: z.array(z.number()).min(1).max(4096),
    offset,
  }),
  z.strictObject({ name, sources: z.tuple([name, name]), transform: z.literal('cross'), buckets, seed, offset }),
  z.strictObject({ name, source: name, transform: z.literal('number'), multiply, add }),
  z.strictObject({ name, source: name, transform: z.literal('log'), multiply, add }),
  z.strictObject({
    name,
    source: name,
    transform: z.literal('lookup'),
    table: z.record(z.string(), z.number()),
    default: z.number(),
  }),
]);

export const programSchema = z.strictObject({
  version: z.literal(1),
  /** Name of the model's float32 output: one raw score per candidate row. */
  output: name,
  /** Name of the int32 input that maps candidate rows to request rows; absent for a single-scope model. */
  request_index: name.optional(),
  tensors: z
    .array(
      z.strictObject({
        name,
        scope: z.enum(['request', 'candidate']),
        type: z.enum(['int32', 'float32']),
        columns: z.array(column).min(1).max(512),
      }),
    )
    .min(1)
    .max(16),
});

export type ProgramFile = z.output<typeof programSchema>;
export type ColumnFile = ProgramFile['tensors'][number]['columns'][number];
export const TRANSFORMS: readonly string[] = column.options.map((option) => option.shape.transform.value);
