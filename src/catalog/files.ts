import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { parseDocument } from 'yaml';
import { DOCUMENT_BYTES_MAX, LINE_BYTES_MAX, YAML_ALIASES_MAX } from './limits.js';
import { DOCUMENT_ARRAYS, type RecordKind, SCHEMA } from './schema.js';
import type { RecordStore } from './store.js';

const READ_BYTES = 4 << 20;
const EXTENSIONS = ['.yaml', '.yml', '.json', '.jsonl'];
const NEWLINE = 10;

/** Reads every catalog file of the directory into the store, in name order. @returns how many there were */
export function readCatalogFiles(directory: string, store: RecordStore): number {
  const names = listFiles(directory, store);
  for (const name of names) {
    const path = join(directory, name);
    const isLines = extname(name) === '.jsonl';
    store.beginFile(name, isLines);
    try {
      if (isLines) readLines(path, name, store);
      else readDocument(path, name, store);
    } catch (error) {
      if (!isFileError(error)) throw error;
      store.problems.add(name, `Cannot be read: ${error.message}`);
    }
  }
  return names.length;
}

function listFiles(directory: string, store: RecordStore): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && EXTENSIONS.includes(extname(entry.name)))
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if (!isFileError(error)) throw error;
    store.problems.add(directory, `Cannot be read: ${error.message}`);
    return names;
  }
  if (names.length === 0) store.problems.add(directory, `Holds no catalog file (${EXTENSIONS.join(', ')})`);
  return names;
}

function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

/** A file of any size, through one buffer: the text of a line is the largest string that is ever made. */
function readLines(path: string, name: string, store: RecordStore): void {
  const buffer = Buffer.allocUnsafe(LINE_BYTES_MAX + READ_BYTES);
  const file = openSync(path, 'r');
  try {
    let line = 1;
    /** Bytes of the unfinished line at the start of the buffer. */
    let held = 0;
    /** The unfinished line is too long, and already reported. */
    let isSkipping = false;
    for (;;) {
      const read = readSync(file, buffer, held, READ_BYTES, null);
      const bytes = buffer.subarray(0, held + read);
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE, held); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        if (!isSkipping) addLine(bytes.subarray(start, end), name, line, store);
        isSkipping = false;
        line++;
        start = end + 1;
      }
      const rest = bytes.subarray(start);
      if (!isSkipping && (read === 0 || rest.length > LINE_BYTES_MAX)) {
        addLine(rest, name, line, store);
        isSkipping = true;
      }
      if (read === 0) return;
      held = isSkipping ? 0 : rest.copy(buffer);
    }
  } finally {
    closeSync(file);
  }
}

function addLine(bytes: Buffer, name: string, line: number, store: RecordStore): void {
  const place = `${name}:${line}`;
  if (bytes.length > LINE_BYTES_MAX) {
    store.problems.add(place, `Longer than ${LINE_BYTES_MAX} bytes`);
    return;
  }
  const text = bytes.toString('utf8').trim();
  if (text === '') return;
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    store.problems.add(place, `Not JSON: ${(error as Error).message}`);
    return;
  }
  const kind = kindOf(record);
  if (kind !== undefined) store.add(kind, record, line);
  else store.problems.add(place, `kind: Must be one of ${Object.keys(SCHEMA).join(', ')}`);
}

function kindOf(record: unknown): RecordKind | undefined {
  if (typeof record !== 'object' || record === null || !('kind' in record)) return undefined;
  const { kind } = record;
  return typeof kind === 'string' && Object.hasOwn(SCHEMA, kind) ? (kind as RecordKind) : undefined;
}

function readDocument(path: string, name: string, store: RecordStore): void {
  const { size } = statSync(path);
  if (size > DOCUMENT_BYTES_MAX) {
    store.problems.add(name, `${size} bytes, more than ${DOCUMENT_BYTES_MAX}; write large catalogs as JSONL`);
    return;
  }
  const root = parse(readFileSync(path, 'utf8'), name, store);
  if (root === undefined || root === null) return;
  if (typeof root !== 'object' || Array.isArray(root)) {
    store.problems.add(name, `Must be an object with any of ${Object.keys(DOCUMENT_ARRAYS).join(', ')}`);
    return;
  }
  for (const [key, records] of Object.entries(root)) {
    if (!Object.hasOwn(DOCUMENT_ARRAYS, key)) store.problems.add(name, `Unrecognized key: "${key}"`);
    else if (!Array.isArray(records)) store.problems.add(name, `${key}: Must be a list`);
    else {
      const kind = DOCUMENT_ARRAYS[key as keyof typeof DOCUMENT_ARRAYS];
      records.forEach((record, i) => {
        store.add(kind, record, i);
      });
    }
  }
}

/** @returns undefined when the problem is already reported */
function parse(text: string, name: string, store: RecordStore): unknown {
  if (extname(name) !== '.json') return parseYaml(text, name, store);
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    store.problems.add(name, `Not JSON: ${(error as Error).message}`);
    return undefined;
  }
}

function parseYaml(text: string, name: string, store: RecordStore): unknown {
  try {
    const document = parseDocument(text);
    if (document.errors.length === 0) return document.toJS({ maxAliasCount: YAML_ALIASES_MAX });
    for (const error of document.errors) {
      const line = error.linePos?.[0].line;
      store.problems.add(line === undefined ? name : `${name}:${line}`, `Not YAML: ${error.message.split('\n')[0]}`);
    }
  } catch (error) {
    // Nested too deeply for the parser's stack, or a bomb of aliases.
    store.problems.add(name, `Not YAML: ${(error as Error).message}`);
  }
  return undefined;
}
