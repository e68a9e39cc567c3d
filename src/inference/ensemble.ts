/**
 * A model made of other models: its steps run as a data flow, each as soon as its inputs are there, in parallel where
 * the graph allows. It knows no queue and no model: each step is a request through `infer`, so it batches with others.
 */
import {
  type EnsembleStep,
  InferError,
  type InferHandle,
  type InferRequest,
  type ModelConfig,
  type OnInfer,
  type Tensor,
} from '../contract/index.js';

export type Infer = (request: InferRequest, done: OnInfer) => InferHandle;

type EnsembleConfig = Pick<ModelConfig, 'name' | 'outputs' | 'ensemble'>;

/** What a set of requested outputs takes. */
interface Plan {
  readonly outputs: readonly string[];
  /** By step: whether it runs. */
  readonly runs: readonly boolean[];
  /** Tensors that are an output or a running step's input. */
  readonly needed: ReadonlySet<string>;
}

export class Ensemble {
  readonly name: string;
  readonly steps: readonly EnsembleStep[];

  /** By ensemble tensor: the step that gives it. */
  private readonly sources = new Map<string, number>();
  private readonly wholePlan: Plan;

  /** @param config its steps connect: the reader of the configuration has checked that */
  constructor(config: EnsembleConfig) {
    this.name = config.name;
    this.steps = config.ensemble;
    for (const [i, step] of this.steps.entries()) {
      for (const tensor of step.outputMap.values()) this.sources.set(tensor, i);
    }
    this.wholePlan = this.planOf(config.outputs.map((output) => output.name));
  }

  /**
   * Runs a request that is checked against the configuration, its inputs and the outputs it names. The first step that
   * fails fails the request with its error, and the others are cancelled. Priority, timeout and parameters go to every
   * step.
   *
   * @param version the ensemble's own, for the response
   */
  run(request: InferRequest, version: string, infer: Infer, done: OnInfer): InferHandle {
    const plan = request.outputs.length === 0 ? this.wholePlan : this.planOf(request.outputs);
    const run = new Run(this, plan, request, version, infer, done);
    run.start();
    return run;
  }

  isGivenByStep(tensor: string): boolean {
    return this.sources.has(tensor);
  }

  /** Walks from the outputs to their sources; a step that nothing leads to does not run. */
  private planOf(outputs: readonly string[]): Plan {
    const runs = this.steps.map(() => false);
    const needed = new Set(outputs);
    // A set is walked to its end even as it grows.
    for (const tensor of needed) {
      const source = this.sources.get(tensor);
      if (source === undefined) continue;
      runs[source] = true;
      for (const input of this.steps[source].inputMap.values()) needed.add(input);
    }
    return { outputs, runs, needed };
  }
}

/** One request on its way through the graph. */
class Run implements InferHandle {
  /** By ensemble tensor, as far as known; null = its source left it out, as an optional input may be. */
  private readonly tensors = new Map<string, Tensor | null>();
  /** Steps that run and have not started. */
  private readonly waiting = new Set<EnsembleStep>();
  private readonly running = new Map<EnsembleStep, InferHandle>();
  private isCancelled = false;
  private isDone = false;

  constructor(
    private readonly ensemble: Ensemble,
    private readonly plan: Plan,
    private readonly request: InferRequest,
    private readonly version: string,
    private readonly infer: Infer,
    private readonly done: OnInfer,
  ) {}

  start(): void {
    for (const [i, step] of this.ensemble.steps.entries()) if (this.plan.runs[i]) this.waiting.add(step);
    for (const tensor of this.request.inputs) this.tensors.set(tensor.name, tensor);
    // Where every output asked for is an input, no step runs; the answer still waits until `run` has returned.
    if (this.waiting.size === 0) queueMicrotask(() => this.finish());
    this.startReady();
  }

  cancel(): void {
    if (this.isDone) return;
    this.isCancelled = true;
    // Each step still answers, and the first answer ends the run.
    for (const handle of this.running.values()) handle.cancel();
  }

  private startReady(): void {
    for (const step of this.waiting) {
      if (![...step.inputMap.values()].every((tensor) => this.isSettled(tensor))) continue;
      this.waiting.delete(step);
      const handle = this.infer(this.requestOf(step), (error, response) => {
        this.running.delete(step);
        if (this.isDone) return;
        if (error !== null) this.fail(error);
        else if (this.isCancelled) this.fail(new InferError('CANCELLED', 'request cancelled'));
        else this.accept(step, response?.outputs ?? []);
      });
      this.running.set(step, handle);
    }
  }

  private accept(step: EnsembleStep, outputs: readonly Tensor[]): void {
    for (const [output, name] of step.outputMap) {
      const tensor = outputs.find((given) => given.name === output);
      this.tensors.set(name, tensor === undefined ? null : { ...tensor, name });
    }
    this.startReady();
    if (this.waiting.size === 0 && this.running.size === 0) this.finish();
  }

  private finish(): void {
    const outputs: Tensor[] = [];
    for (const name of this.plan.outputs) {
      const tensor = this.tensors.get(name);
      if (tensor === undefined || tensor === null) {
        const message = `in ensemble '${this.ensemble.name}', output '${name}' was not given`;
        this.fail(new InferError('INTERNAL', message));
        return;
      }
      outputs.push(tensor);
    }
    this.isDone = true;
    this.done(null, { model: this.ensemble.name, version: this.version, outputs });
  }

  private fail(error: InferError): void {
    this.isDone = true;
    this.waiting.clear();
    for (const handle of this.running.values()) handle.cancel();
    this.done(error, null);
  }

  /** Known, left out by its source, or an optional input of the ensemble that the request left out. */
  private isSettled(tensor: string): boolean {
    return this.tensors.has(tensor) || !this.ensemble.isGivenByStep(tensor);
  }

  private requestOf(step: EnsembleStep): InferRequest {
    const inputs: Tensor[] = [];
    for (const [name, source] of step.inputMap) {
      const tensor = this.tensors.get(source);
      if (tensor !== undefined && tensor !== null) inputs.push({ ...tensor, name });
    }
    const outputs: string[] = [];
    for (const [name, tensor] of step.outputMap) if (this.plan.needed.has(tensor)) outputs.push(name);
    return {
      ...this.request,
      model: step.model,
      version: step.version < 0 ? '' : String(step.version),
      inputs,
      outputs,
    };
  }
}
