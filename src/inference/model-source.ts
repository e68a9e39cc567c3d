/** Where the registry finds its models: the repository on disk, as four questions. */
import type { LoadOverride } from '../contract/index.js';
import { describeModel, fingerprint, forgetModel, listModels, type RepositoryModel } from './repository.js';

export interface ModelSource {
  /** Names. @throws OperatingError VK_MODEL_REPOSITORY (operator) */
  list(): readonly string[];
  /**
   * The versions that the policy serves, at least one.
   * @throws OperatingError VK_MODEL_UNKNOWN (operator), VK_MODEL_CONFIG, VK_MODEL_LOAD (model owner) and the like
   */
  describe(name: string, override: LoadOverride | null): readonly RepositoryModel[];
  /** Changes whenever the model's files do. */
  fingerprint(name: string): string;
  /** None of what one `describe` gave is needed any more. */
  forget(model: RepositoryModel): void;
}

export function directorySource(directory: string): ModelSource {
  return {
    list: () => listModels(directory),
    describe: (name, override) => describeModel(directory, name, override),
    fingerprint: (name) => fingerprint(directory, name),
    forget: forgetModel,
  };
}
