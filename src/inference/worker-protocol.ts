/** Everything that crosses the border between the event loop and an inference worker. */
import type { MessagePort } from 'node:worker_threads';
import type { DataType, Fixer, ModelSignature, SessionSettings, WarmUp } from '../contract/index.js';

/** The one long-lived Piscina task of a worker: one instance of one model. */
export interface WorkerTask {
  /** See CONTROL. */
  readonly control: SharedArrayBuffer;
  /** Carries WorkerMessages one way and MailedSlabs the other. */
  readonly port: MessagePort;
  readonly model: WorkerModel;
}

export interface WorkerModel {
  readonly name: string;
  readonly file: string;
  readonly session: SessionSettings;
  /** Slabs below this number hold rows, the others queued requests. */
  readonly rowSlabs: number;
  /** For batches of reserved rows; null where only requests with tensors come. */
  readonly rows: null | {
    readonly signature: ModelSignature;
    readonly requestRowsMax: number;
    readonly candidateRowsMax: number;
    /** By slab number, from 0. */
    readonly slabs: readonly SharedArrayBuffer[];
  };
  /** For batches of queued requests; null where only rows come. */
  readonly tensors: null | {
    readonly inputs: readonly WorkerTensor[];
    readonly outputs: readonly WorkerTensor[];
    readonly warmUps: readonly WarmUp[];
    /** A batch dimension stands before the dims of a warm-up. */
    readonly isBatching: boolean;
  };
}

interface WorkerTensor {
  readonly name: string;
  readonly dataType: DataType;
}

/**
 * Words of a worker's control block. The event loop writes `slab`, then adds 1 to `doorbell` and notifies; it rings
 * again only after the worker's message, so one word is a queue of the right length. `mail` counts the MailedSlabs
 * that were posted before.
 */
export const CONTROL = { doorbell: 0, slab: 1, stop: 2, mail: 3, length: 16 } as const;

/** The memory of a queued batch's slab, posted before the first ring that names it; it replaces the one before. */
export interface MailedSlab {
  readonly slab: number;
  readonly memory: SharedArrayBuffer;
}

/** A bare number is the id of a slab whose scores are ready: the one message of the hot path. */
export type WorkerMessage = number | WorkerReady | BatchFailed | OutputsOverflowed;

/** The session is loaded and warm. */
export interface WorkerReady {
  readonly kind: 'ready';
  /** Whether ONNX Runtime reads the slabs in place, or from a copy inside the worker. */
  readonly readsSharedMemory: boolean;
  readonly warmUps: readonly { readonly rows: number; readonly runUs: number }[];
}

/** What the task resolves with: null when it was told to stop, or why a model cannot be served (an OperatingError). */
export type WorkerResult = null | WorkerRefused;

interface WorkerRefused {
  readonly code: string;
  readonly fixedBy: Fixer;
  readonly message: string;
}

/** ONNX Runtime refused this batch; the worker lives on. */
interface BatchFailed {
  readonly kind: 'failed';
  readonly slab: number;
  readonly message: string;
}

/** The batch is done, but its outputs do not fit into the slab: they come with the message. */
export interface OutputsOverflowed {
  readonly kind: 'overflowed';
  readonly slab: number;
  readonly outputs: readonly { readonly index: number; readonly dims: readonly number[]; readonly bytes: Uint8Array }[];
}
