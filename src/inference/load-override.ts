/** The files that a load call brings along, laid out in a folder of their own until the model is given up. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { OperatingError } from '../contract/index.js';
import { OVERRIDE_FILES_MAX } from './config-limits.js';

/**
 * @param files by path below the model's folder, such as `1/model.onnx`
 * @returns a temporary repository that holds just this model
 * @throws OperatingError VK_MODEL_CONFIG (model owner) for a path that leaves the folder
 */
export function writeOverride(model: string, files: ReadonlyMap<string, Uint8Array>): string {
  if (files.size > OVERRIDE_FILES_MAX) throw refused(model, `${files.size} files are more than ${OVERRIDE_FILES_MAX}`);
  for (const path of files.keys()) {
    const parts = path.split('/');
    const inside = parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\:\0]/.test(part));
    if (!inside) throw refused(model, `'${path}' is not a path below the model's folder`);
  }
  const directory = mkdtempSync(join(tmpdir(), 'vickrey-load-'));
  try {
    for (const [path, content] of files) {
      const file = join(directory, model, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content, { flag: 'wx' });
    }
  } catch (cause) {
    removeOverride(directory);
    throw refused(model, (cause as Error).message);
  }
  return directory;
}

/** @param directory what `writeOverride` gave */
export function removeOverride(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

function refused(model: string, problem: string): OperatingError {
  return new OperatingError('VK_MODEL_CONFIG', 'model owner', `Files of the load call for '${model}': ${problem}.`);
}
