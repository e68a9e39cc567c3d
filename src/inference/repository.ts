/**
 * The model repository, in Triton's layout:
 *
 *     <repository>/<model>/config.pbtxt              may be absent: then the graph says what there is
 *                         /<version>/model.onnx      version: a positive integer without leading zeros
 *                         /warmup/<file>             data that config.pbtxt names
 *
 * A folder with neither a config.pbtxt nor a version is not a model and is passed over. Files beside these (a feature
 * program, a calibration table) belong to other rooms.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type LoadOverride, type ModelConfig, OperatingError } from '../contract/index.js';
import { FOLDER_DEPTH_MAX } from './config-limits.js';
import { removeOverride, writeOverride } from './load-override.js';
import { backendOf, makeModelConfig, modelFileName } from './model-config.js';
import { readOnnxGraph } from './onnx-graph.js';
import { type ConfigSource, emptyConfig, parseConfigJson, parseConfigText } from './raw-config.js';
import { servedVersions } from './version-policy.js';

/** One served version of one model. */
export interface RepositoryModel {
  /** The folder's name. */
  readonly name: string;
  readonly version: number;
  /** The model's folder: where config.pbtxt is. */
  readonly directory: string;
  /** The version's folder. */
  readonly versionDirectory: string;
  /** The .onnx file, which exists; '' where the backend runs none. */
  readonly modelFile: string;
  readonly config: ModelConfig;
  /** Bounds of one batch, from the config. */
  readonly requestRowsMax: number;
  readonly candidateRowsMax: number;
  /** Undefined when the config does not say. */
  readonly instanceCount: number | undefined;
  /** The folder to remove (`forgetModel`) when no version of this load is served any more; '' = none. */
  readonly temporaryDirectory: string;
}

/**
 * Reads every model's configuration and finds the files of the versions that its policy serves.
 *
 * @returns by name, then the highest version first
 * @throws OperatingError VK_MODEL_REPOSITORY (operator) when the directory cannot be read; VK_MODEL_CONFIG (model owner)
 *   with the findings of all models in `details`; the model's own error where there is just one
 */
export function loadRepository(directory: string): RepositoryModel[] {
  const models: RepositoryModel[] = [];
  const findings: OperatingError[] = [];
  for (const name of listModels(directory)) {
    try {
      models.push(...describeModel(directory, name));
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      findings.push(error);
    }
  }
  if (findings.length === 0) return models;
  const [{ code, fixedBy, message }] = findings;
  const details = findings.map((finding) => finding.message);
  if (findings.length === 1) throw new OperatingError(code, fixedBy, message, details);
  const summary = `${findings.length} models cannot be loaded; ${message}`;
  throw new OperatingError('VK_MODEL_CONFIG', 'model owner', summary, details);
}

/**
 * The names of the models in the repository, whether they can be loaded or not; ascending.
 * @throws OperatingError VK_MODEL_REPOSITORY (operator)
 */
export function listModels(directory: string): string[] {
  return foldersOf(directory).filter((name) => isModel(join(directory, name)));
}

/**
 * Reads one model: every version that its policy serves, the highest first.
 *
 * @param override what a load call brings along: a configuration takes the place of config.pbtxt, files that of the
 *   whole folder
 * @throws OperatingError VK_MODEL_UNKNOWN (operator), VK_MODEL_CONFIG, VK_MODEL_LOAD (model owner), VK_MODEL_PROVIDER
 *   (operator)
 */
export function describeModel(
  directory: string,
  name: string,
  override: LoadOverride | null = null,
): RepositoryModel[] {
  if (name === '' || name.startsWith('.') || /[/\\\0]/.test(name)) throw unknownModel(directory, name);
  if (override === null || override.files.size === 0) {
    if (!isModel(join(directory, name))) throw unknownModel(directory, name);
    return versionsOf(directory, name, override?.config ?? '', '');
  }
  if (override.config === '') {
    const problem = `Files of the load call for '${name}': they need a configuration beside them`;
    throw new OperatingError('VK_MODEL_CONFIG', 'model owner', `${problem}.`);
  }
  const temporary = writeOverride(name, override.files);
  try {
    return versionsOf(temporary, name, override.config, temporary);
  } catch (error) {
    removeOverride(temporary);
    throw error;
  }
}

/** Removes what a load call brought along; nothing where the model lies in the repository. */
export function forgetModel({ temporaryDirectory }: RepositoryModel): void {
  if (temporaryDirectory !== '') removeOverride(temporaryDirectory);
}

/**
 * Changes when a file of the model's folder appears, goes or changes; '' when there is no such model.
 * @returns a digest of paths, sizes and modification times
 */
export function fingerprint(directory: string, name: string): string {
  const hash = createHash('sha256');
  const visit = (folder: string, depth: number): void => {
    for (const entry of readdirSync(folder).sort()) {
      const path = join(folder, entry);
      // `stat` follows links, and a file may go while we look.
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      if (!stat.isDirectory()) hash.update(`${path}\0${stat.size}\0${stat.mtimeMs}\0`);
      else {
        hash.update(`${path}\0`);
        if (depth < FOLDER_DEPTH_MAX) visit(path, depth + 1);
      }
    }
  };
  try {
    if (!isModel(join(directory, name))) return '';
    visit(join(directory, name), 1);
  } catch (error) {
    // A folder that goes while we look: the next look sees it whole, or gone.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return '';
  }
  return hash.digest('hex');
}

function versionsOf(repository: string, name: string, override: string, temporary: string): RepositoryModel[] {
  const directory = join(repository, name);
  const source = sourceOf(directory, name, override);
  const fileName = modelFileName(source);
  const backend = backendOf(source);
  return servedVersions(source.raw, versionFolders(directory), source.refuse).map((version) => {
    const versionDirectory = join(directory, String(version));
    const modelFile = backend === 'onnxruntime' ? join(versionDirectory, fileName) : '';
    if (modelFile !== '' && !existsSync(modelFile)) {
      throw new OperatingError('VK_MODEL_CONFIG', 'model owner', `${modelFile} is missing.`);
    }
    const config = makeModelConfig(source, name, directory, modelFile === '' ? null : readOnnxGraph(modelFile));
    const { requestRowsMax, candidateRowsMax, instanceCount } = config;
    return {
      name,
      version,
      directory,
      versionDirectory,
      modelFile,
      config,
      requestRowsMax,
      candidateRowsMax,
      instanceCount,
      temporaryDirectory: temporary,
    };
  });
}

function sourceOf(directory: string, name: string, override: string): ConfigSource {
  if (override !== '') return parseConfigJson(override, `The configuration of the load call for '${name}'`);
  const file = join(directory, 'config.pbtxt');
  return existsSync(file)
    ? parseConfigText(readFileSync(file, 'utf8'), file)
    : emptyConfig(`${directory} (no config.pbtxt)`);
}

function isModel(directory: string): boolean {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) return false;
  return existsSync(join(directory, 'config.pbtxt')) || versionFolders(directory).length > 0;
}

/** Descending. */
function versionFolders(directory: string): number[] {
  return foldersOf(directory)
    .filter((folder) => /^[1-9]\d*$/.test(folder))
    .map(Number)
    .filter(Number.isSafeInteger)
    .sort((a, b) => b - a);
}

function foldersOf(directory: string): string[] {
  try {
    // `stat` follows links: a mounted repository is often made of them, beside hidden folders that hold the same again.
    return readdirSync(directory)
      .filter((name) => !name.startsWith('.'))
      .filter((name) => statSync(join(directory, name), { throwIfNoEntry: false })?.isDirectory())
      .sort();
  } catch (error) {
    const reason = (error as Error).message;
    throw new OperatingError('VK_MODEL_REPOSITORY', 'operator', `The model repository cannot be read: ${reason}.`);
  }
}

function unknownModel(directory: string, name: string): OperatingError {
  return new OperatingError(
    'VK_MODEL_UNKNOWN',
    'operator',
    `The model repository ${directory} has no model '${name}'.`,
  );
}
