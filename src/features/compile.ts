import { hashInteger, hashString } from '../base/index.js';
import { type InputTensor, OperatingError } from '../contract/index.js';
import { type Column, OP, ORIGIN } from './column.js';
import { FeatureProgram, type TensorProgram } from './program.js';
import { type ColumnFile, type ProgramFile, programSchema, TRANSFORMS } from './schema.js';
import { AD_SOURCES, REQUEST_SOURCES, type SourceKind } from './sources.js';

/**
 * Compiles the parsed contents of a `features.json`.
 *
 * @param file where it came from, for messages
 * @throws OperatingError `VK_FEATURES_INVALID` with one line per finding: an unknown source or transform by its name
 */
export function compileProgram(contents: unknown, file: string): FeatureProgram {
  const parsed = programSchema.safeParse(contents);
  if (!parsed.success) throw invalid(file, [...unknownTransforms(contents), ...parsed.error.issues.map(issueLine)]);
  const findings: string[] = [];
  const program = parsed.data;
  const tensors = program.tensors.map((_, input) => compileTensor(program, input, findings));
  if (!program.tensors.some((t) => t.scope === 'candidate'))
    findings.push('tensors: at least one must have scope candidate');
  const hasRequestScope = program.tensors.some((t) => t.scope === 'request');
  if (hasRequestScope !== (program.request_index !== undefined)) {
    findings.push('request_index: needed exactly when a tensor has scope request');
  }
  if (findings.length > 0) throw invalid(file, findings);

  const inputs: InputTensor[] = program.tensors.map((t, i) => ({
    name: t.name,
    scope: t.scope,
    type: t.type,
    width: tensors[i].width,
    ...(t.type === 'int32' && { highest: tensors[i].columns.flatMap(highestOf) }),
  }));
  return new FeatureProgram(
    { inputs, requestIndexInput: program.request_index ?? '', output: program.output },
    tensors.filter((t) => inputs[t.input].scope === 'request'),
    tensors.filter((t) => inputs[t.input].scope === 'candidate'),
  );
}

/** The highest value of each place of an id column: what an embedding table must be large enough for. */
function highestOf(column: Column): number[] {
  let id = column.buckets - 1;
  if (column.op === OP.vocabulary) id = column.table.size;
  else if (column.op === OP.bucketize) id = column.boundaries.length;
  return new Array(column.length).fill(column.offset + id);
}

function invalid(file: string, findings: string[]): OperatingError {
  const message = `${file}: ${findings.length} problem(s) in the feature program: ${findings[0]}`;
  return new OperatingError('VK_FEATURES_INVALID', 'model owner', message, findings);
}

function issueLine(issue: { path: PropertyKey[]; message: string }): string {
  return `${issue.path.map(String).join('.') || '(file)'}: ${issue.message}`;
}

/** The schema can only say that no transform matched; this says which one was asked for. */
function unknownTransforms(contents: unknown): string[] {
  const tensors = (contents as { tensors?: unknown } | null)?.tensors;
  if (!Array.isArray(tensors)) return [];
  return tensors.flatMap((tensor) => {
    const columns = (tensor as { columns?: unknown } | null)?.columns;
    if (!Array.isArray(columns)) return [];
    return columns.flatMap((column) => {
      const asked = (column as { transform?: unknown } | null)?.transform;
      return typeof asked === 'string' && !TRANSFORMS.includes(asked)
        ? [`unknown transform '${asked}' (known: ${TRANSFORMS.join(', ')})`]
        : [];
    });
  });
}

function compileTensor(program: ProgramFile, input: number, findings: string[]): TensorProgram {
  const tensor = program.tensors[input];
  const columns: Column[] = [];
  let width = 0;
  for (const file of tensor.columns) {
    const where = `${tensor.name}.${file.name}`;
    const column = compileColumn(file, width, where, findings);
    if (column === undefined) continue;
    if (tensor.scope === 'request' && column.origin !== ORIGIN.request) {
      findings.push(`${where}: an ad source in a tensor of scope request`);
    }
    if (
      tensor.type === 'int32' &&
      (file.transform === 'number' || file.transform === 'log' || file.transform === 'lookup')
    ) {
      findings.push(`${where}: transform '${file.transform}' needs a float32 tensor`);
    }
    columns.push(column);
    width += column.length;
  }
  return { input, type: tensor.type, width, columns };
}

interface Located {
  readonly ad: boolean;
  readonly index: number;
  readonly kind: SourceKind;
}

function locate(name: string, where: string, findings: string[]): Located | undefined {
  const request = REQUEST_SOURCES.findIndex((s) => s.name === name);
  if (request >= 0) return { ad: false, index: request, kind: REQUEST_SOURCES[request].kind };
  const ad = AD_SOURCES.findIndex((s) => s.name === name);
  if (ad >= 0) return { ad: true, index: ad, kind: AD_SOURCES[ad].kind };
  findings.push(`${where}: unknown source '${name}'`);
  return undefined;
}

function compileColumn(file: ColumnFile, position: number, where: string, findings: string[]): Column | undefined {
  if (file.transform === 'cross') return compileCross(file, position, where, findings);
  const source = locate(file.source, where, findings);
  if (source === undefined) return undefined;
  const isList = source.kind === 'strings';
  const numeric = file.transform === 'number' || file.transform === 'log' || file.transform === 'bucketize';
  if (numeric && source.kind !== 'number' && source.kind !== 'integer') {
    findings.push(
      `${where}: transform '${file.transform}' needs a number; '${file.source}' is a ${source.kind} source`,
    );
  }
  if (!numeric && source.kind === 'number') {
    findings.push(`${where}: transform '${file.transform}' needs a string or integer; '${file.source}' is a number`);
  }
  if (isList && file.transform === 'lookup') findings.push(`${where}: lookup of a list source`);
  const length = 'length' in file && file.length !== undefined ? file.length : 1;
  if (length > 1 && !isList) findings.push(`${where}: length ${length} on '${file.source}', which is no list`);
  return {
    ...blank(position),
    ...parameters(file, where, findings),
    op: OP[file.transform],
    origin: source.ad ? ORIGIN.ad : ORIGIN.request,
    source: source.index,
    length,
    isList,
  };
}

function compileCross(
  file: Extract<ColumnFile, { transform: 'cross' }>,
  position: number,
  where: string,
  findings: string[],
): Column | undefined {
  const first = locate(file.sources[0], where, findings);
  const second = locate(file.sources[1], where, findings);
  if (first === undefined || second === undefined) return undefined;
  for (const s of [first, second]) {
    if (s.kind === 'strings' || s.kind === 'number') findings.push(`${where}: a cross needs string or integer sources`);
  }
  if (first.ad && !second.ad) findings.push(`${where}: name the request source of a cross first`);
  const origin = first.ad ? ORIGIN.ad : second.ad ? ORIGIN.cross : ORIGIN.request;
  return {
    ...blank(position),
    op: OP.cross,
    origin,
    source: first.index,
    secondSource: second.index,
    buckets: file.buckets,
    seed: file.seed,
    offset: file.offset,
  };
}

const NO_BOUNDARIES = new Float64Array(0);
const NO_TABLE: ReadonlyMap<number, number> = new Map();

function blank(position: number): Column {
  return {
    op: 0,
    origin: 0,
    source: 0,
    secondSource: -1,
    length: 1,
    isList: false,
    position,
    buckets: 2,
    seed: 0,
    offset: 0,
    multiply: 1,
    add: 0,
    boundaries: NO_BOUNDARIES,
    table: NO_TABLE,
    fallback: 0,
  };
}

function parameters(
  file: Exclude<ColumnFile, { transform: 'cross' }>,
  where: string,
  findings: string[],
): Partial<Column> {
  switch (file.transform) {
    case 'hash':
      return { buckets: file.buckets, seed: file.seed, offset: file.offset };
    case 'vocabulary':
      return { offset: file.offset, table: new Map(file.values.map((value, i) => [codeOf(value), i + 1])) };
    case 'bucketize': {
      const boundaries = Float64Array.from(file.boundaries);
      if (boundaries.some((b, i) => i > 0 && b <= boundaries[i - 1])) findings.push(`${where}: boundaries must ascend`);
      return { boundaries, offset: file.offset };
    }
    case 'lookup': {
      const { kind } = [...REQUEST_SOURCES, ...AD_SOURCES].find((s) => s.name === file.source) ?? { kind: 'string' };
      const code = (key: string) => (kind === 'integer' ? hashInteger(Number(key)) : hashString(key));
      const table = new Map(Object.entries(file.table).map(([key, number]) => [code(key), number]));
      return { table, fallback: file.default };
    }
    default:
      return { multiply: file.multiply, add: file.add };
  }
}

function codeOf(value: string | number): number {
  return typeof value === 'string' ? hashString(value) : hashInteger(value);
}
