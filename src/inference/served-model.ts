/** One loaded model version: its memories, its statistics and what its workers are told. */
import type { InferResponse, OnInfer, SessionSettings, Tensor } from '../contract/index.js';
import type { EngineModel } from './engine-port.js';
import { InOrder } from './in-order.js';
import type { InferEntry } from './infer-entry.js';
import { TENSOR_BYTES_KEPT_MAX, TENSOR_BYTES_MIN } from './limits.js';
import { StatisticsOfModel } from './model-statistics.js';
import { makeSlab, type Slab } from './slab.js';
import type { SlabMemories } from './slab-memories.js';
import { TensorPlan } from './tensor-batch.js';
import { TensorSlab } from './tensor-slab.js';
import type { OutputsOverflowed, WorkerModel } from './worker-protocol.js';

/** One thread a session: the pool is the parallelism, and ONNX Runtime's own threads would fight it for the cores. */
const SESSION_DEFAULTS: SessionSettings = {
  providers: [{ name: 'cpu', options: {} }],
  graphOptimization: 'all',
  intraOpThreads: 1,
  interOpThreads: 1,
  executionMode: 'sequential',
};

export class ServedModel {
  readonly statistics = new StatisticsOfModel();
  /** Null where no configuration was given, and so no request can bring tensors. */
  readonly plan: TensorPlan | null;
  /** Empty where the bid path does not use the model. */
  readonly rowSlabs: readonly Slab[];
  isWarm = false;
  private readonly replies: InOrder<() => void> | null;
  /** By slot; made when a batch needs it. */
  private readonly queuedSlabs: (TensorSlab | undefined)[] = [];
  /** What outputs have needed so far: a slab leaves so much room behind its inputs. */
  private outputBytes = 0;

  constructor(
    readonly model: EngineModel,
    private readonly slabsPerModel: number,
    private readonly memories: SlabMemories,
  ) {
    const { signature, requestRowsMax, candidateRowsMax, config } = model;
    this.replies = config?.queue.preserveOrdering ? new InOrder((release) => release()) : null;
    this.plan = config === undefined ? null : new TensorPlan(config);
    this.rowSlabs =
      signature === undefined
        ? []
        : Array.from({ length: slabsPerModel }, () =>
            makeSlab({ signature, requestRowsMax, candidateRowsMax }, memories),
          );
  }

  /** The model is gone and its threads have ended: its memories serve the next load. */
  giveMemoriesBack(): void {
    for (const { memory } of this.rowSlabs) this.memories.give(memory);
  }

  /** With preserve_ordering: `done` is called when every request before this one has been answered. */
  ordered(done: OnInfer): OnInfer {
    const { replies } = this;
    if (replies === null) return done;
    const position = replies.enter();
    return (error, response) => replies.complete(position, () => done(error, response));
  }

  get slabBytes(): number {
    const rows = this.rowSlabs.reduce((sum, slab) => sum + slab.memory.byteLength, 0);
    return this.queuedSlabs.reduce((sum, slab) => sum + (slab?.memory.byteLength ?? 0), rows);
  }

  workerModel(): WorkerModel {
    const { name, file, signature, config, requestRowsMax, candidateRowsMax } = this.model;
    const slabs = this.rowSlabs.map((slab) => slab.memory);
    const tensor = ({ name, dataType }: { name: string; dataType: Tensor['dataType'] }) => ({ name, dataType });
    return {
      name,
      file,
      session: config?.session ?? SESSION_DEFAULTS,
      // Queued slabs are numbered behind these, so their count is the same whether the bid path uses the model or not.
      rowSlabs: this.slabsPerModel,
      rows: signature === undefined ? null : { signature, requestRowsMax, candidateRowsMax, slabs },
      tensors:
        config === undefined
          ? null
          : {
              inputs: config.inputs.map(tensor),
              outputs: config.outputs.map(tensor),
              warmUps: this.plan?.warmUps() ?? [],
              isBatching: config.maxBatchSize > 0,
            },
    };
  }

  /** Merges the requests' tensors in the slot's memory, which grows where it is too small. */
  gather(entries: readonly InferEntry[], slot: number): SharedArrayBuffer {
    const plan = this.plan as TensorPlan;
    const tensorsMax = plan.inputs.length + plan.outputs.length;
    const { records, end } = plan.layout(entries, TensorSlab.bytesFor(tensorsMax, 0));
    let slab = this.queuedSlabs[slot];
    // Room for outputs must not make a memory too large to be kept: it would be made anew for every batch.
    const wanted = Math.max(end, Math.min(end + this.outputBytes, TENSOR_BYTES_KEPT_MAX));
    if (slab === undefined || slab.memory.byteLength < wanted) {
      const bytes = 2 ** Math.ceil(Math.log2(Math.max(TENSOR_BYTES_MIN, wanted)));
      slab = new TensorSlab(new SharedArrayBuffer(bytes), tensorsMax);
      this.queuedSlabs[slot] = slab;
    }
    slab.describeInputs(records, end);
    plan.gather(entries, records, slab.data);
    return slab.memory;
  }

  /** Merges the requests' tensors in a memory of their own, for an executor. */
  merge(entries: readonly InferEntry[]): Tensor[] {
    const plan = this.plan as TensorPlan;
    const { records, end } = plan.layout(entries, 0);
    const memory = Buffer.allocUnsafe(end);
    plan.gather(entries, records, memory);
    return plan.merged(records, memory);
  }

  queuedSlab(slot: number): TensorSlab {
    return this.queuedSlabs[slot] as TensorSlab;
  }

  /** Copies the outputs out of the slot's memory, which is free for the next batch then. */
  takeOutputs(slot: number, overflowed: OutputsOverflowed['outputs'] | null): Tensor[] {
    const { outputs } = this.plan as TensorPlan;
    const slab = this.queuedSlab(slot);
    const found =
      overflowed ??
      slab.outputs.map(({ index, dims, offset, bytes }) => {
        // Not of Buffer's pool: an output may outlive its batch for long.
        return { index, dims, bytes: slab.data.slice(offset, offset + bytes) };
      });
    const total = found.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    this.outputBytes = Math.max(this.outputBytes, Math.min(total, TENSOR_BYTES_KEPT_MAX));
    if (slab.memory.byteLength > TENSOR_BYTES_KEPT_MAX) this.dropQueuedSlab(slot);
    return found.map(({ index, dims, bytes }) => ({
      name: outputs[index].name,
      dataType: outputs[index].dataType,
      shape: dims,
      bytes,
    }));
  }

  dropQueuedSlab(slot: number): void {
    this.queuedSlabs[slot] = undefined;
  }

  scatter(entries: readonly InferEntry[], rows: number, outputs: readonly Tensor[]): InferResponse[] {
    return (this.plan as TensorPlan).scatter(entries, rows, outputs, String(this.model.version));
  }
}
