/** Everything that crosses the border between the event loop and an inference worker. */
import type { MessagePort } from 'node:worker_threads';
import type { Fixer, ModelSignature } from '../contract/index.js';

/** The one long-lived Piscina task of a worker. */
export interface WorkerTask {
  /** See CONTROL. */
  readonly control: SharedArrayBuffer;
  /** Carries WorkerMessages. */
  readonly port: MessagePort;
  /** By model index. */
  readonly models: readonly WorkerModel[];
}

export interface WorkerModel {
  readonly name: string;
  readonly file: string;
  readonly signature: ModelSignature;
  readonly requestRowsMax: number;
  readonly candidateRowsMax: number;
  /** The model's slabs, of ids [firstSlab, firstSlab + slabs.length). */
  readonly firstSlab: number;
  readonly slabs: readonly SharedArrayBuffer[];
}

/**
 * Words of a worker's control block. The event loop writes `slab`, then adds 1 to `doorbell` and notifies; it rings
 * again only after the worker's message, so one word is a queue of the right length.
 */
export const CONTROL = { doorbell: 0, slab: 1, stop: 2, length: 16 } as const;

/** A bare number is the id of a slab whose scores are ready: the one message of the hot path. */
export type WorkerMessage = number | WorkerReady | BatchFailed;

/** Sessions are loaded and warm. */
export interface WorkerReady {
  readonly kind: 'ready';
  /** Whether ONNX Runtime reads the slabs in place, or from a copy inside the worker. */
  readonly readsSharedMemory: boolean;
  readonly warmUps: readonly { readonly model: number; readonly candidateRows: number; readonly runUs: number }[];
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
