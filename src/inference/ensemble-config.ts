/** `ensemble_scheduling` of a model configuration: its steps, and whether their tensors connect. */
import type { EnsembleStep } from '../contract/index.js';
import type { RawConfig, Refuse } from './raw-config.js';

/** @throws OperatingError naming the step and the tensor */
export function readEnsemble(raw: RawConfig, name: string, refuse: Refuse): EnsembleStep[] {
  const steps = (raw.ensemble_scheduling?.step ?? []).map((step, i) => {
    const path = `ensemble_scheduling.step[${i}]`;
    if (step.model_name === '') throw refuse(path, 'model_name is missing');
    if (step.model_name === name) throw refuse(`${path}.model_name`, 'an ensemble cannot be a step of itself');
    const inputMap = new Map(Object.entries(step.input_map));
    const outputMap = new Map(Object.entries(step.output_map));
    if (inputMap.size === 0) throw refuse(path, `step '${step.model_name}' has no input_map`);
    if (outputMap.size === 0) throw refuse(path, `step '${step.model_name}' has no output_map`);
    // 0 is what a file means that does not say: versions begin with 1.
    const version = step.model_version === 0 ? -1 : step.model_version;
    if (version < -1) throw refuse(`${path}.model_version`, `${version} is neither -1 nor a version`);
    return { model: step.model_name, version, inputMap, outputMap };
  });
  if (steps.length === 0) throw refuse('ensemble_scheduling', 'an ensemble needs a step');
  checkSources(steps, raw, refuse);
  checkOrder(steps, raw, refuse);
  return steps;
}

/** Every tensor is made once, every one that is read is made, and nothing that a client must send is for nothing. */
function checkSources(steps: readonly EnsembleStep[], raw: RawConfig, refuse: Refuse): void {
  const made = new Set(raw.input.map((input) => input.name));
  const read = new Set<string>();
  steps.forEach((step, i) => {
    for (const tensor of step.inputMap.values()) read.add(tensor);
    for (const tensor of step.outputMap.values()) {
      if (!made.has(tensor)) made.add(tensor);
      else throw refuse(`ensemble_scheduling.step[${i}].output_map`, `ensemble tensor '${tensor}' is made twice`);
    }
  });
  steps.forEach((step, i) => {
    for (const tensor of step.inputMap.values()) {
      if (made.has(tensor)) continue;
      const problem = `ensemble tensor '${tensor}' is neither an input of the ensemble nor an output of a step`;
      throw refuse(`ensemble_scheduling.step[${i}].input_map`, problem);
    }
  });
  raw.output.forEach(({ name }, i) => {
    if (!made.has(name)) throw refuse(`output[${i}].name`, `no step makes '${name}'`);
  });
  raw.input.forEach(({ name }, i) => {
    if (!read.has(name)) throw refuse(`input[${i}].name`, `no step reads '${name}'`);
  });
}

/** Runs the steps without data: one that never has all it reads waits for itself. */
function checkOrder(steps: readonly EnsembleStep[], raw: RawConfig, refuse: Refuse): void {
  const known = new Set(raw.input.map((input) => input.name));
  let waiting = steps;
  while (waiting.length > 0) {
    const ready = waiting.filter((step) => [...step.inputMap.values()].every((tensor) => known.has(tensor)));
    if (ready.length === 0) {
      const path = `ensemble_scheduling.step[${steps.indexOf(waiting[0])}]`;
      throw refuse(path, `step '${waiting[0].model}' waits for its own output: the steps go in a circle`);
    }
    for (const step of ready) for (const tensor of step.outputMap.values()) known.add(tensor);
    waiting = waiting.filter((step) => !ready.includes(step));
  }
}
