import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { parseDocument } from 'yaml';
import { DOCUMENT_BYTES_MAX, LINE_BYTES_MAX } from './limits.js';
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
  const buffer = Buffer.allocUnsafe(READ_BYTES + LINE_BYTES_MAX);
  const file = openSync(path, 'r');
  try {
    let line = 0;
    let held = 0;
    let skipping = false;
    for (;;) {
      const read = readSync(file, buffer, held, READ_BYTES, null);
      const end = held + read;
      let start = 0;
      for (let at = buffer.indexOf(NEWLINE, held); at >= 0 && at < end; at = buffer.indexOf(NEWLINE, start)) {
        line++;
        if (skipping) skipping = false;
        else addLine(buffer, start, at, name, line, store);
        start = at + 1;
      }
      if (read === 0) {
        if (!skipping && start < end) addLine(buffer, start, end, name, line + 1, store);
        return;
      }
      held = end - start;
      if (skipping) held = 0;
      else if (held > LINE_BYTES_MAX) {
        store.problems.add(`${name}:${line + 1}`, `Longer than ${LINE_BYTES_MAX} bytes`);
        skipping = true;
        held = 0;
      } else buffer.copyWithin(0, start, end);
    }
  } finally {
    closeSync(file);
  }
}

function addLine(buffer: Buffer, start: number, end: number, name: string, line: number, store: RecordStore): void {
  const text = buffer.toString('utf8', start, end).trim();
  if (text === '') return;
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    store.problems.add(`${name}:${line}`, `Not JSON: ${(error as Error).message}`);
    return;
  }
  const kind = kindOf(record);
  if (kind === undefined) {
    store.problems.add(`${name}:${line}`, `kind: Must be one of ${Object.keys(SCHEMA).join(', ')}`);
  } else store.add(kind, record, line);
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
  const document = parseDocument(text, { prettyErrors: true });
  for (const error of document.errors) {
    const line = error.linePos?.[0].line;
    store.problems.add(line === undefined ? name : `${name}:${line}`, error.message.split('\n')[0]);
  }
  if (document.errors.length > 0) return undefined;
  try {
    return document.toJS();
  } catch (error) {
    // The parser refuses to expand more than a hundred aliases, which is what a document bomb is made of.
    store.problems.add(name, (error as Error).message);
    return undefined;
  }
}
