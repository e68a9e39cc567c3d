/** `dynamic_batching` of a model configuration: how its requests wait and how they are put together. */
import type { QueuePolicy, QueueSettings } from '../contract/index.js';
import { PRIORITY_LEVELS_MAX } from './config-limits.js';
import type { RawConfig, RawDynamicBatching, RawQueuePolicy, Refuse } from './raw-config.js';

const POLICY_DEFAULT: QueuePolicy = {
  timeoutAction: 'REJECT',
  defaultTimeoutUs: 0,
  allowTimeoutOverride: false,
  maxQueueSize: 0,
};

/** @throws OperatingError naming the field */
export function readQueueSettings(
  raw: RawConfig,
  parameters: Readonly<Record<string, string>>,
  refuse: Refuse,
): QueueSettings {
  const batching = raw.dynamic_batching;
  const order = parameters.queue_order === 'earliest_deadline_first' ? 'earliest_deadline_first' : 'fifo';
  if (batching === undefined || batching === null) {
    if (order !== 'fifo') throw refuse('parameters["queue_order"]', `'${order}' needs dynamic_batching`);
    return {
      dynamicBatching: false,
      maxBatchSize: raw.max_batch_size,
      preferredBatchSizes: [],
      maxQueueDelayUs: 0,
      preserveOrdering: false,
      priorityLevels: 1,
      defaultPriorityLevel: 1,
      policies: [POLICY_DEFAULT],
      order,
    };
  }
  const { priorityLevels, defaultPriorityLevel } = priorities(batching, refuse);
  return {
    dynamicBatching: true,
    maxBatchSize: raw.max_batch_size,
    preferredBatchSizes: preferredSizes(raw, batching, refuse),
    maxQueueDelayUs: batching.max_queue_delay_microseconds,
    preserveOrdering: batching.preserve_ordering,
    priorityLevels,
    defaultPriorityLevel,
    policies: policies(batching, priorityLevels, refuse),
    order,
  };
}

function preferredSizes(raw: RawConfig, batching: RawDynamicBatching, refuse: Refuse): number[] {
  const sizes = [...new Set(batching.preferred_batch_size)].sort((a, b) => a - b);
  for (const size of sizes) {
    if (size >= 1 && size <= raw.max_batch_size) continue;
    const problem = `${size} is not between 1 and max_batch_size, which is ${raw.max_batch_size}`;
    throw refuse('dynamic_batching.preferred_batch_size', problem);
  }
  return sizes;
}

function priorities(batching: RawDynamicBatching, refuse: Refuse) {
  const { priority_levels: levels, default_priority_level: level } = batching;
  if (levels > PRIORITY_LEVELS_MAX) {
    throw refuse('dynamic_batching.priority_levels', `${levels} is more than ${PRIORITY_LEVELS_MAX}`);
  }
  if (levels === 0) {
    if (level !== 0) throw refuse('dynamic_batching.default_priority_level', 'needs priority_levels');
    return { priorityLevels: 1, defaultPriorityLevel: 1 };
  }
  if (level < 1 || level > levels) {
    const problem = `${level} is not between 1 and priority_levels, which is ${levels}`;
    throw refuse('dynamic_batching.default_priority_level', problem);
  }
  if (levels > 1 && batching.preserve_ordering) {
    throw refuse('dynamic_batching.preserve_ordering', 'allows only one priority level');
  }
  return { priorityLevels: levels, defaultPriorityLevel: level };
}

function policies(batching: RawDynamicBatching, levels: number, refuse: Refuse): QueuePolicy[] {
  const fallback = policyOf(batching.default_queue_policy);
  const all = Array.from({ length: levels }, () => fallback);
  for (const [level, policy] of Object.entries(batching.priority_queue_policy)) {
    if (Number(level) < 1 || Number(level) > batching.priority_levels) {
      const problem = `level ${level} is not between 1 and priority_levels, which is ${batching.priority_levels}`;
      throw refuse('dynamic_batching.priority_queue_policy', problem);
    }
    all[Number(level) - 1] = policyOf(policy);
  }
  return all;
}

function policyOf(raw: RawQueuePolicy | null): QueuePolicy {
  if (raw === null) return POLICY_DEFAULT;
  return {
    timeoutAction: raw.timeout_action,
    defaultTimeoutUs: raw.default_timeout_microseconds,
    allowTimeoutOverride: raw.allow_timeout_override,
    maxQueueSize: raw.max_queue_size,
  };
}
