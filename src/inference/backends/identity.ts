import {
  type BatchExecutor,
  type ExecutorBatch,
  InferError,
  type ModelConfig,
  type OnExecuted,
  OperatingError,
  type Tensor,
} from '../../contract/index.js';
import { Parameters } from './parameters.js';

/** A delay is for tests of clients and queues; a minute outlasts every client's patience. */
const DELAY_MS_MAX = 60_000;

/**
 * Gives its inputs back, the first as the first output and so on, under the outputs' names; what a batch left out
 * (an optional input) is left out of the answer. Each instance works on one batch at a time, for `execute_delay_ms`.
 */
export class IdentityExecutor implements BatchExecutor {
  readonly concurrencyMax: number;
  private readonly delayMs: number;
  /** Input name by output name. */
  private readonly sources: ReadonlyMap<string, string>;
  private readonly waiting = new Map<NodeJS.Timeout, OnExecuted>();
  private closed = false;

  /** @throws OperatingError VK_MODEL_CONFIG (model owner) */
  constructor(config: ModelConfig) {
    this.delayMs = new Parameters(config).integer('execute_delay_ms', 0, 0, DELAY_MS_MAX);
    this.concurrencyMax = config.instanceCount ?? 1;
    this.sources = pairs(config);
  }

  execute(batch: ExecutorBatch, done: OnExecuted): void {
    if (this.closed) queueMicrotask(() => done(unloaded(), null));
    else if (this.delayMs === 0) queueMicrotask(() => done(null, this.copy(batch)));
    else {
      const timer = setTimeout(() => {
        this.waiting.delete(timer);
        done(null, this.copy(batch));
      }, this.delayMs);
      this.waiting.set(timer, done);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const [timer, done] of this.waiting) {
      clearTimeout(timer);
      done(unloaded(), null);
    }
    this.waiting.clear();
  }

  /** The inputs' memory is only lent, hence copies. */
  private copy(batch: ExecutorBatch): Tensor[] {
    const outputs: Tensor[] = [];
    for (const { name } of batch.outputs) {
      const input = batch.inputs.find((candidate) => candidate.name === this.sources.get(name));
      if (input !== undefined) outputs.push({ ...input, name, bytes: input.bytes.slice() });
    }
    return outputs;
  }
}

function pairs(config: ModelConfig): Map<string, string> {
  const { name, inputs, outputs } = config;
  if (outputs.length > inputs.length) {
    throw configError(name, `${outputs.length} outputs need as many inputs, not ${inputs.length}`);
  }
  return new Map(
    outputs.map((output, i) => {
      const input = inputs[i];
      if (input.dataType !== output.dataType) {
        throw configError(
          name,
          `output '${output.name}' is ${output.dataType}, input '${input.name}' ${input.dataType}`,
        );
      }
      return [output.name, input.name];
    }),
  );
}

function configError(model: string, problem: string): OperatingError {
  return new OperatingError('VK_MODEL_CONFIG', 'model owner', `model '${model}': identity backend: ${problem}.`);
}

function unloaded(): InferError {
  return new InferError('UNAVAILABLE', 'the model is being unloaded');
}
