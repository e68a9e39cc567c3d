/**
 * The model repository, in Triton's layout:
 *
 *     <repository>/<model>/config.pbtxt
 *                         /<version>/model.onnx      version: a positive integer without leading zeros
 *
 * A folder with neither a config.pbtxt nor a version is not a model and is passed over. Files beside these (a feature
 * program, a calibration table) belong to other rooms.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { OperatingError } from '../contract/index.js';
import { type ModelConfig, readModelConfig, type VersionPolicy } from './model-config.js';

/** One served version of one model. */
export interface RepositoryModel {
  /** The folder's name. */
  readonly name: string;
  readonly version: number;
  /** The model's folder: where config.pbtxt is. */
  readonly directory: string;
  /** The version's folder. */
  readonly versionDirectory: string;
  /** The .onnx file; it exists. */
  readonly modelFile: string;
  readonly config: ModelConfig;
  /** Bounds of one batch, from the config. */
  readonly requestRowsMax: number;
  readonly candidateRowsMax: number;
  /** Undefined when the config does not say. */
  readonly instanceCount: number | undefined;
}

/**
 * Reads every model's configuration and finds the files of the versions that its policy serves.
 *
 * @returns by name, then the highest version first
 * @throws OperatingError VK_MODEL_REPOSITORY (operator) when the directory cannot be read; VK_MODEL_CONFIG (model owner)
 *   with the findings of all models in `details`
 */
export function loadRepository(directory: string): RepositoryModel[] {
  const models: RepositoryModel[] = [];
  const findings: string[] = [];
  for (const name of foldersOf(directory)) {
    try {
      models.push(...loadModel(join(directory, name), name));
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      findings.push(error.message);
    }
  }
  if (findings.length === 0) return models;
  const summary = findings.length === 1 ? findings[0] : `${findings.length} models cannot be loaded; ${findings[0]}`;
  throw new OperatingError('VK_MODEL_CONFIG', 'model owner', summary, findings);
}

function loadModel(directory: string, name: string): RepositoryModel[] {
  const configFile = join(directory, 'config.pbtxt');
  const present = foldersOf(directory)
    .filter((folder) => /^[1-9]\d*$/.test(folder))
    .map(Number)
    .filter(Number.isSafeInteger)
    .sort((a, b) => b - a);
  if (!existsSync(configFile)) {
    if (present.length === 0) return [];
    throw configError(`${configFile} is missing, but the folder has version ${present[0]}`);
  }
  const config = readModelConfig(configFile);
  if (config.name !== '' && config.name !== name) {
    throw configError(`${configFile}: name: '${config.name}' is not the folder's name '${name}'`);
  }
  const refuse = (problem: string): never => {
    throw configError(`${configFile}: version_policy: ${problem}; the folder has ${present.join(', ') || 'none'}`);
  };
  const versions = served(present, config.versionPolicy, refuse);
  if (versions.length === 0) refuse('no version to serve');
  return versions.map((version) => {
    const versionDirectory = join(directory, String(version));
    const modelFile = join(versionDirectory, config.modelFileName);
    if (!existsSync(modelFile)) throw configError(`${modelFile} is missing`);
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
    };
  });
}

function served(
  present: readonly number[],
  policy: VersionPolicy,
  refuse: (problem: string) => never,
): readonly number[] {
  if (policy.kind === 'all') return present;
  if (policy.kind === 'latest') return present.slice(0, policy.count);
  for (const version of policy.versions) if (!present.includes(version)) refuse(`version ${version} is missing`);
  return present.filter((version) => policy.versions.includes(version));
}

function foldersOf(directory: string): string[] {
  try {
    // `stat` follows links: a mounted repository is often made of them.
    return readdirSync(directory)
      .filter((name) => statSync(join(directory, name), { throwIfNoEntry: false })?.isDirectory())
      .sort();
  } catch (error) {
    const reason = (error as Error).message;
    throw new OperatingError('VK_MODEL_REPOSITORY', 'operator', `The model repository cannot be read: ${reason}.`);
  }
}

function configError(problem: string): OperatingError {
  return new OperatingError('VK_MODEL_CONFIG', 'model owner', `${problem}.`);
}
