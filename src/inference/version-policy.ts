/** Which version folders of a model are served. */
import type { RawConfig, Refuse } from './raw-config.js';

/**
 * @param present descending
 * @returns those of `present` that the policy serves; at least one
 * @throws OperatingError naming what is missing
 */
export function servedVersions(raw: RawConfig, present: readonly number[], refuse: Refuse): readonly number[] {
  const policy = raw.version_policy;
  const fail = (problem: string, path = 'version_policy') =>
    refuse(path, `${problem}; the folder has ${present.join(', ') || 'none'}`);
  if (present.length === 0) throw fail('no version to serve');
  switch (policy?.policy_choice) {
    case 'all':
      return present;
    case 'specific': {
      const versions = policy.specific?.versions ?? [];
      if (versions.length === 0) throw fail('specific names no version');
      const missing = versions.find((version) => !present.includes(version));
      if (missing !== undefined) throw fail(`version ${missing} is missing`);
      return present.filter((version) => versions.includes(version));
    }
    default:
      return present.slice(0, Math.max(1, policy?.latest?.num_versions ?? 1));
  }
}
