/**
 * Whether an ensemble's steps fit the models they call, as those are served at the moment of its loading. That its tensors
 * connect is checked where the configuration is read.
 */
import { type DataType, type ModelConfig, OperatingError, type TensorConfig } from '../contract/index.js';

/**
 * @param served the config of a step's model; undefined when that version is not served
 * @throws OperatingError VK_MODEL_CONFIG (model owner)
 */
export function checkEnsemble(
  { name, inputs, outputs, ensemble }: ModelConfig,
  served: (model: string, version: number) => ModelConfig | undefined,
): void {
  const types = new Map<string, DataType>(inputs.map((input) => [input.name, input.dataType]));
  const uses: { tensor: string; expected: DataType; by: string }[] = [];
  const tensorOf = (model: string, kind: string, tensors: readonly TensorConfig[], wanted: string): TensorConfig => {
    const found = tensors.find((tensor) => tensor.name === wanted);
    if (found === undefined) throw refused(name, `maps '${wanted}', which is no ${kind} of '${model}'`);
    return found;
  };

  for (const { model, version, inputMap, outputMap } of ensemble) {
    const step = served(model, version);
    const which = version === -1 ? 'which has no loaded version' : `whose required version ${version} is not loaded`;
    if (step === undefined) throw refused(name, `depends on '${model}' ${which}.`);
    for (const [input, tensor] of inputMap) {
      const { dataType } = tensorOf(model, 'input', step.inputs, input);
      uses.push({ tensor, expected: dataType, by: `input '${input}' of '${model}'` });
    }
    for (const [output, tensor] of outputMap) {
      types.set(tensor, tensorOf(model, 'output', step.outputs, output).dataType);
    }
    const missing = step.inputs.find((input) => !input.optional && !inputMap.has(input.name));
    if (missing !== undefined) throw refused(name, `gives '${model}' no input '${missing.name}'`);
  }
  for (const output of outputs) {
    uses.push({ tensor: output.name, expected: output.dataType, by: `output '${output.name}' of the ensemble` });
  }
  for (const { tensor, expected, by } of uses) {
    const given = types.get(tensor);
    if (given !== expected) throw refused(name, `has tensor '${tensor}' of ${given}, but ${by} is ${expected}`);
  }
}

function refused(ensemble: string, problem: string): OperatingError {
  return new OperatingError('VK_MODEL_CONFIG', 'model owner', `ensemble '${ensemble}' ${problem}`);
}
